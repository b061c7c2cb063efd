"""Tasks of a store, for `celery --app store_tasks worker`. The broker's URL is in POSTRIDER_URL."""
import os
import time

from celery import Celery

QUORUM = os.environ.get("STORE_QUEUE_TYPE") == "quorum"
# Where the broker delays, Celery counts in whole seconds.
RETRY_DELAY = 1 if QUORUM else 0.2

app = Celery("store", broker=os.environ["POSTRIDER_URL"], backend="rpc://")
app.conf.update(
    task_default_queue="celery-quorum" if QUORUM else "celery-classic",
    # With quorum queues Celery delays tasks in the broker: 28 topic exchanges with queues that have a TTL.
    task_default_queue_type="quorum" if QUORUM else "classic",
    task_default_exchange_type="topic" if QUORUM else "direct",
    worker_detect_quorum_queues=True,
    broker_native_delayed_delivery_queue_type="quorum",
    broker_transport_options={"confirm_publish": True},
    broker_connection_retry_on_startup=True,
    result_expires=60,
)


@app.task
def price(amount, each):
    return amount * each


@app.task(bind=True, max_retries=5)
def charge(self, failures):
    """Fails so often, and is tried again each time."""
    attempt = self.request.retries
    if attempt < failures:
        raise self.retry(exc=ConnectionError("the bank is away"), countdown=RETRY_DELAY)
    return attempt + 1


@app.task(autoretry_for=(ValueError,), max_retries=1, retry_backoff=False, default_retry_delay=RETRY_DELAY)
def refuse():
    raise ValueError("no such card")


@app.task(bind=True, acks_late=True)
def ship(self, started):
    """Never ends the first time: its worker is to be killed. `started` is a file that says that it has begun."""
    if os.path.exists(started):
        return {"redelivered": self.request.delivery_info["redelivered"], "pid": os.getpid()}
    with open(started + ".part", "w") as file:
        file.write(str(os.getpid()))
    os.rename(started + ".part", started)
    time.sleep(300)


@app.task
def clock():
    return time.time()
