"""Users, vhosts, permissions and TLS, as pika meets them. Arguments: port, port of TLS, file of the certificate."""

import json
import ssl
import sys

import pika
from pika.exceptions import ChannelClosedByBroker, ConnectionClosedByBroker, ProbableAccessDeniedError, ProbableAuthenticationError

port, tls_port, certificate = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]


def connect(user, password, vhost="/", tls=False):
    options = None
    if tls:
        options = pika.SSLOptions(ssl.create_default_context(cafile=certificate), "localhost")
    return pika.BlockingConnection(
        pika.ConnectionParameters(
            host="127.0.0.1",
            port=tls_port if tls else port,
            virtual_host=vhost,
            credentials=pika.PlainCredentials(user, password),
            ssl_options=options,
        )
    )


def control(connection, **request):
    channel = connection.channel()
    answers = []
    channel.basic_consume("amq.rabbitmq.reply-to", lambda ch, method, props, body: answers.append((props, body)), auto_ack=True)
    properties = pika.BasicProperties(reply_to="amq.rabbitmq.reply-to", correlation_id="c")
    channel.basic_publish("", "amq.postrider.control", json.dumps(request), properties)
    while not answers:
        connection.process_data_events(time_limit=1)
    channel.close()
    assert answers[0][0].correlation_id == "c"
    return json.loads(answers[0][1])


def refused(error, work):
    try:
        work()
    except error as refusal:
        return refusal
    raise AssertionError("nothing was refused")


admin = connect("guest", "guest")
assert control(admin, verb="add-user", user="ann", password="sécret")["ok"]
assert control(admin, verb="add-vhost", vhost="staging")["ok"]
assert control(admin, verb="set-permissions", user="ann", vhost="staging", configure="^ann", write="^(ann|amq.default)", read="^ann")["ok"]

refused((ProbableAuthenticationError, ConnectionClosedByBroker), lambda: connect("ann", "wrong"))
refused((ProbableAccessDeniedError, ConnectionClosedByBroker), lambda: connect("ann", "sécret", "/"))

ann = connect("ann", "sécret", "staging", tls=True)
channel = ann.channel()
channel.queue_declare("ann.q")
channel.confirm_delivery()
for size in (10, 100_000, 3_000_000):
    channel.basic_publish("", "ann.q", b"x" * size)
for size in (10, 100_000, 3_000_000):
    assert len(channel.basic_get("ann.q", auto_ack=True)[2]) == size
refusal = refused(ChannelClosedByBroker, lambda: ann.channel().queue_declare("bob.q"))
assert refusal.reply_code == 403, refusal
assert refusal.reply_text == "ACCESS_REFUSED - access to queue 'bob.q' in vhost 'staging' refused for user 'ann'", refusal
assert control(ann, verb="list-users")["code"] == "ACCESS_REFUSED"

assert control(admin, verb="delete-user", user="ann")["ok"]
gone = refused(ConnectionClosedByBroker, lambda: [ann.process_data_events(time_limit=1) for _ in range(10)])
assert (gone.reply_code, gone.reply_text) == (320, "CONNECTION_FORCED - user 'ann' is deleted"), gone
admin.close()
print("pika", pika.__version__, "over TLS")
