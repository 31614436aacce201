"""Words in colour, and values as short plain text that cannot steer a terminal."""

from collections.abc import Iterator

from otr import files


class Style:
    """Words in colour, or plain."""

    def __init__(self, colours: bool) -> None:
        self._colours = colours

    def _set(self, code: str, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self._colours else text

    def title(self, text: str) -> str:
        return self._set("1", text)

    def dim(self, text: str) -> str:
        return self._set("2", text)

    def verdict(self, right: bool) -> str:
        return self._set("32;1", "right") if right else self._set("31;1", "wrong")


def part(title: str, values: list[tuple[str, object]], style: Style) -> Iterator[str]:
    """Named values under a title, after an empty line; nothing where there are none."""
    if values:
        yield from ["", style.title(title), *pairs(values, style)]


def pairs(values: list[tuple[str, object]], style: Style) -> Iterator[str]:
    """One named value a line."""
    width = max((len(key) for key, _ in values), default=0)
    for key, value in values:
        yield f"{style.dim(key.ljust(max(12, width)))}  {text_of(value)}"


def columns(rows: list[list[str]], style: Style, names: int = 1) -> Iterator[str]:
    """Rows under the first, their header; the first `names` columns stand at the left, numbers at the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        cells = [
            text.ljust(width) if place < names else text.rjust(width)
            for place, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        line = "  ".join(cells).rstrip()
        yield line if number else style.dim(line)


def text_of(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(map(text_of, value))
    return "—" if value is None or value == "" else visible(str(value))


def lines_of(text: object) -> list[str]:
    return [visible(line) for line in str(text).split("\n")]


def visible(text: str) -> str:
    """Control characters that a model wrote, as \\x1b: they must not steer the reader's terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def one_line(text: object, length: int) -> str:
    """A value within so many characters of one line."""
    short = " ".join(text_of(text).split())
    return short if len(short) <= length else f"{short[: length - 1]}…"


def flat(value: files.Row) -> list[tuple[str, object]]:
    """A nested mapping as pairs of dotted key and value."""
    return list(files.flat(value).items())
