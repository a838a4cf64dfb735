"""Rows as Parquet: one file per set of rows, whole or not at all, with the schema of ``sim.results.Row``."""

import os
from dataclasses import fields
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, get_type_hints

import polars as pl

from sim.results import CAUSES, DROP_CAUSES, ItrWrite, RingSample, Row

__all__ = ["read_parquet", "schema", "write_parquet"]

_DICTIONARIES = {"cpu": CAUSES, "drops": tuple(DROP_CAUSES)}
"""Fields that are several columns of a file, ``cpu.copy`` and so on."""

_TYPES: dict[Any, Any] = {
    str: pl.String,
    bool: pl.Boolean,
    int: pl.Int64,
    float: pl.Float64,
    list[float]: pl.List(pl.Float64),
    list[ItrWrite]: pl.List(
        pl.Struct({"time": pl.Float64, "register": pl.Int64, "rx_class": pl.Int64, "tx_class": pl.Int64})
    ),
    list[RingSample]: pl.List(pl.Struct({"time": pl.Float64, "rx": pl.Int64, "tx": pl.Int64})),
}


@cache
def schema() -> pl.Schema:
    """Columns and types of the Parquet files."""
    columns: dict[str, Any] = {}
    for name, hint in get_type_hints(Row).items():
        if name in _DICTIONARIES:
            kind = pl.Float64 if name == "cpu" else pl.Int64
            columns.update({f"{name}.{key}": kind for key in _DICTIONARIES[name]})
        else:
            columns[name] = _TYPES[hint]
    return pl.Schema(columns)


def write_parquet(rows: list[Row], path: Path) -> None:
    """Write rows, whole or not at all."""
    flat = []
    for row in rows:
        content = {item.name: getattr(row, item.name) for item in fields(row)}
        for name, keys in _DICTIONARIES.items():
            values = content.pop(name)
            content.update({f"{name}.{key}": values[key] for key in keys})
        flat.append(content)
    encoded = BytesIO()
    pl.DataFrame(flat, schema=schema()).write_parquet(encoded)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(encoded.getvalue())
        temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_parquet(path: Path) -> list[Row]:
    """The rows of a file. Raises ``ValueError`` if it has not this schema, ``OSError`` if it cannot be read."""
    try:
        frame = pl.read_parquet(path)
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"{path} is no Parquet file: {str(error).splitlines()[0]}") from None
    if frame.schema != schema():
        differing = [name for name, _ in set(frame.schema.items()) ^ set(schema().items())]
        raise ValueError(f"{path} has other columns than this version writes: {', '.join(sorted(set(differing))[:4])}")
    rows = []
    for content in frame.to_dicts():
        for name, keys in _DICTIONARIES.items():
            content[name] = {key: content.pop(f"{name}.{key}") for key in keys}
        rows.append(Row(**content))
    return rows
