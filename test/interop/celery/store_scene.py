"""Asks a Celery worker (store_tasks.py) for its tasks: python store_scene.py STARTED_FILE

Prints "kill" when the worker is to be killed, and at last what came of it as JSON.
"""
import json
import os
import sys
import time
from datetime import datetime, timedelta, timezone

from celery import chain, group
from store_tasks import QUORUM, app, charge, clock, price, refuse, ship

PATIENCE = 30
started = sys.argv[1]

deadline = time.time() + PATIENCE
while not app.control.ping(timeout=0.5):
    assert time.time() < deadline, "no worker answers"

assert price.delay(3, 5).get(PATIENCE) == 15
prices = group(price.s(index, 2) for index in range(100))().get(PATIENCE)
assert prices == [index * 2 for index in range(100)], prices
assert chain(price.s(2, 3), price.s(4))().get(PATIENCE) == 24
assert charge.delay(2).get(PATIENCE) == 3
try:
    refuse.delay().get(PATIENCE)
    raise AssertionError("what fails came to a good end")
except ValueError as error:
    assert str(error) == "no such card"

asked = time.time()
later = clock.apply_async(countdown=2)
exactly = clock.apply_async(eta=datetime.now(timezone.utc) + timedelta(seconds=2.5))
late = [later.get(PATIENCE) - asked, exactly.get(PATIENCE) - asked]
assert late[0] >= (1 if QUORUM else 1.99) and late[1] >= (1 if QUORUM else 2.49), late
revoked = clock.apply_async(countdown=1)
revoked.revoke()

queue = app.amqp.default_queue.name
active = app.control.inspect(timeout=1).active_queues()
assert [found["name"] for found in next(iter(active.values()))] == [queue], active

order = ship.delay(started)
deadline = time.time() + PATIENCE
while not os.path.exists(started):
    assert time.time() < deadline, "the order is not shipped"
    time.sleep(0.05)
print("kill", flush=True)
shipped = order.get(60)
with open(started) as file:
    killed = int(file.read())
assert shipped["redelivered"] is True and shipped["pid"] != killed, shipped

with app.connection_for_read() as connection:
    left = connection.default_channel.queue_declare(queue, passive=True).message_count
print(json.dumps({"left": left, "late": late}))
