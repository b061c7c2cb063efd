"""What pika does with a stream: python3 pika_streams.py PORT. Prints one line and exits 0, or fails with a traceback."""
import sys
import time

import pika
from pika.exceptions import ChannelClosedByBroker, ConnectionClosedByBroker

parameters = pika.ConnectionParameters("127.0.0.1", int(sys.argv[1]), heartbeat=0)
name = "pika-stream-%d" % time.time()
connection = pika.BlockingConnection(parameters)
channel = connection.channel()
arguments = {"x-queue-type": "stream", "x-max-age": "1h", "x-max-length-bytes": 100_000_000}
channel.queue_declare(name, durable=True, arguments=arguments)
channel.confirm_delivery()
count = 300
for index in range(count):
    headers = {"index": index} if index % 3 == 0 else None
    channel.basic_publish("", name, b"x" * index, pika.BasicProperties(delivery_mode=2, headers=headers))


def read(offset, wanted, prefetch=40):
    reader = connection.channel()
    reader.basic_qos(prefetch_count=prefetch)
    got = []
    for method, properties, body in reader.consume(name, arguments={"x-stream-offset": offset}, inactivity_timeout=5):
        assert method is not None, "nothing came any more after %r" % got[-1:]
        assert not method.redelivered
        got.append((properties.headers["x-stream-offset"], properties.headers.get("index"), len(body)))
        reader.basic_ack(method.delivery_tag)
        if len(got) == wanted:
            break
    reader.cancel()
    reader.close()
    return got


expected = [(index, index if index % 3 == 0 else None, index) for index in range(count)]
assert read("first", count) == expected
assert read("first", count, prefetch=1) == expected
assert read(250, 50) == expected[250:]
assert read(pika.compat.long(299), 1) == expected[299:]
assert read("1h", count) == expected

def refused(call, code, text):
    other = pika.BlockingConnection(parameters)
    try:
        call(other.channel())
        raise AssertionError("not refused: " + text)
    except (ChannelClosedByBroker, ConnectionClosedByBroker) as error:
        assert error.reply_code == code and text in error.reply_text, error


def consume_without_ack(channel):
    channel.basic_qos(prefetch_count=1)
    channel.basic_consume(name, lambda *_: None, auto_ack=True)


queue = "queue '%s' in vhost '/'" % name
refused(lambda channel: channel.basic_consume(name, lambda *_: None), 406, "consumer prefetch count is not set for ")
refused(consume_without_ack, 540, "automatic acknowledgement not supported by ")
refused(lambda channel: channel.basic_get(name), 540, "basic.get not supported by stream queues " + queue)
refused(lambda channel: channel.queue_purge(name), 540, "")
refused(lambda channel: channel.queue_declare("pika-transient", arguments={"x-queue-type": "stream"}), 406, "invalid property 'non-durable' for ")
refused(
    lambda channel: channel.queue_declare("pika-ttl", durable=True, arguments={"x-queue-type": "stream", "x-message-ttl": 1}),
    406,
    "invalid arg 'x-message-ttl' for queue 'pika-ttl' in vhost '/' of queue type rabbit_stream_queue",
)
channel.queue_delete(name)
connection.close()
print("pika %s: a stream of %d messages" % (pika.__version__, count))
