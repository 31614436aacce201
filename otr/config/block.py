"""What every block of the settings is: a mapping of the YAML file, typed, that refuses what it does not know."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)]
"""A part of file names, which most file systems end at 255 characters; a log holds three of them."""
Share = Annotated[float, Field(ge=0, le=1)]


class Block(BaseModel):
    """A mapping of the YAML file: its keys are these fields and no others, its values of these very types.

    The text under a field is its documentation: in the schema for editors and in docs/experiment.md.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )
