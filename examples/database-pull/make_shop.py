"""Create a small shop in SQLite, or add orders to it."""

import argparse
import math
import random
import sqlite3

parser = argparse.ArgumentParser()
parser.add_argument("file", nargs="?", default="shop.db")
parser.add_argument("--more", type=int, default=0, help="how many orders to add")
given = parser.parse_args()

shop = sqlite3.connect(given.file)
shop.execute(
    "CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, placed TIMESTAMP NOT NULL, "
    "price REAL NOT NULL, items INTEGER NOT NULL, returned BOOLEAN NOT NULL)"
)
(known,) = shop.execute("SELECT count(*) FROM orders").fetchone()
dice = random.Random(known)
with shop:
    for number in range(known + 1, known + 1 + (given.more or max(0, 2000 - known))):
        price, items = round(dice.lognormvariate(4, 0.8), 2), dice.randint(1, 8)
        tends = -2.5 + 1.2 * (math.log(price) - 4) + 0.4 * items
        returned = dice.random() < 1 / (1 + math.exp(-tends))
        placed = f"2026-{1 + number % 12:02}-{1 + number % 28:02} 12:00:00"
        shop.execute(
            "INSERT INTO orders VALUES (?, ?, ?, ?, ?)", (number, placed, price, items, returned)
        )
(rows,) = shop.execute("SELECT count(*) FROM orders").fetchone()
shop.close()
print(f"{given.file} has {rows} orders")
