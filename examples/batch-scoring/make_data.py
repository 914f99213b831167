"""Write the made-up data of this example; the rows are the same each time."""

import csv
import math
from pathlib import Path
from random import Random

random = Random(11)
COLUMNS = ["id", "months", "monthly", "support_calls"]


def customer(id_: int) -> dict[str, object]:
    return {
        "id": id_,
        "months": random.randint(1, 48),
        "monthly": f"{random.uniform(10, 70):.2f}",
        "support_calls": min(5, int(random.expovariate(1))),
    }


def left(row: dict[str, object]) -> int:
    z = -1 - 1.5 * (int(str(row["months"])) / 24 - 1) + 0.9 * int(str(row["support_calls"]))
    return int(random.random() < 1 / (1 + math.exp(-z)))


def write(name: str, columns: list[str], rows: list[dict[str, object]]) -> None:
    path = Path(__file__).parent / "data" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    known = [customer(id_) for id_ in range(1, 901)]
    write("history/until-october.csv", [*COLUMNS, "left"], [r | {"left": left(r)} for r in known])
    write("today/customers.csv", COLUMNS, [customer(id_) for id_ in range(901, 1101)])
