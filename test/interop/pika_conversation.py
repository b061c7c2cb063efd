"""What pika does with a broker: python3 pika_conversation.py PORT. Prints one line and exits 0, or fails with a traceback."""
import sys

import pika
from pika.exceptions import ChannelClosedByBroker, UnroutableError

connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", int(sys.argv[1]), heartbeat=5))
channel = connection.channel()
channel.exchange_declare("pika-topic", "topic", auto_delete=True)
queue = channel.queue_declare("", exclusive=True).method.queue
channel.queue_bind(queue, "pika-topic", "a.*")
channel.confirm_delivery()

count = 200
for index in range(count):
    properties = pika.BasicProperties(
        delivery_mode=2, headers={"index": index, "list": [1, "x", None, True]}, correlation_id=str(index), timestamp=1700000000
    )
    channel.basic_publish("pika-topic", "a.%d" % index, b"x" * index, properties, mandatory=True)

channel.basic_qos(prefetch_count=7)
got = 0
for method, properties, body in channel.consume(queue, inactivity_timeout=5):
    assert method is not None, "nothing came any more"
    assert body == b"x" * got and method.routing_key == "a.%d" % got, (got, method)
    assert properties.headers == {"index": got, "list": [1, "x", None, True]}, properties.headers
    assert properties.timestamp == 1700000000 and properties.correlation_id == str(got)
    channel.basic_ack(method.delivery_tag)
    got += 1
    if got == count:
        break
assert channel.cancel() == 0

big = b"0123456789" * 300_000
channel.basic_publish("", queue, big)
method, _, body = channel.basic_get(queue)
assert body == big and method.message_count == 0 and not method.redelivered
channel.basic_nack(method.delivery_tag, requeue=True)
method, _, body = channel.basic_get(queue, auto_ack=True)
assert method.redelivered and channel.basic_get(queue)[0] is None

try:
    channel.basic_publish("", "pika-nowhere", b"back", mandatory=True)
    raise AssertionError("an unroutable message was not returned")
except UnroutableError as error:
    assert error.messages[0].body == b"back" and error.messages[0].method.reply_code == 312

try:
    channel.queue_declare("pika-nowhere", passive=True)
    raise AssertionError("a queue that is not there was found")
except ChannelClosedByBroker as error:
    assert error.reply_code == 404, error
    assert error.reply_text == "NOT_FOUND - no queue 'pika-nowhere' in vhost '/'", error

channel = connection.channel()
assert channel.queue_purge(queue).method.message_count == 0
channel.queue_unbind(queue, "pika-topic", "a.*")
channel.queue_delete(queue)
connection.close()
print("pika %s: %d messages" % (pika.__version__, got))
