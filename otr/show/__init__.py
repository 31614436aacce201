"""`otr show`: results on a terminal."""
