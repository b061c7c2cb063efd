"""A conversation of paho-mqtt with a broker: scene.py VERSION PORT TLS_PORT CERTIFICATE ROOT, VERSION 3.1.1 or 5.0.

Asserts what it gets. Prints "restart" when the broker is to be restarted, and goes on once a line comes in.
"""

import queue
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

version, port, tls_port, certificate, root = sys.argv[1:]
protocol = mqtt.MQTTv5 if version == "5.0" else mqtt.MQTTv311
is_v5 = protocol == mqtt.MQTTv5
patience = 10


class Peer:
    """A client that runs in a thread of its own, and what arrived at it."""

    def __init__(self, name, lasting=False, secure=False, will=None):
        self.arrived = queue.Queue()
        self.connected = queue.Queue()
        self.subscribed = queue.Queue()
        self.lasting = lasting
        clean = {} if is_v5 else {"clean_session": not lasting}
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, f"{root}-{name}", protocol=protocol, **clean)
        self.client.on_message = lambda client, data, message: self.arrived.put(message)
        self.client.on_connect = lambda client, data, flags, code, properties: self.connected.put((flags, code))
        self.client.on_subscribe = lambda client, data, mid, codes, properties: self.subscribed.put(codes)
        if will is not None:
            self.client.will_set(*will)
        if secure:
            self.client.tls_set(certificate)
        self.port = int(tls_port if secure else port)

    def connect(self):
        options = {}
        if is_v5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 3600 if self.lasting else 0
            options = {"clean_start": not self.lasting, "properties": properties}
        self.client.connect("localhost", self.port, **options)
        self.client.loop_start()
        flags, code = self.connected.get(timeout=patience)
        assert not code.is_failure, code
        return flags.session_present

    def subscribe(self, topic, qos, **options):
        if is_v5 and options:
            self.client.subscribe(topic, options=SubscribeOptions(qos=qos, **options))
        else:
            self.client.subscribe(topic, qos)
        codes = self.subscribed.get(timeout=patience)
        assert [code.value for code in codes] == [qos], codes

    def publish(self, topic, payload, qos, retain=False, properties=None):
        sent = self.client.publish(topic, payload, qos, retain, properties)
        sent.wait_for_publish(patience)
        assert sent.is_published(), f"{topic} {payload} was not acknowledged"

    def take(self, count):
        messages = [self.arrived.get(timeout=patience) for _ in range(count)]
        self.nothing_more()
        return messages

    def nothing_more(self):
        try:
            message = self.arrived.get(timeout=0.1)
        except queue.Empty:
            return
        raise AssertionError(f"{message.topic} {message.payload} arrived, too")

    def leave(self):
        self.client.disconnect()
        self.client.loop_stop()

    def cut(self):
        """Without a goodbye."""
        self.client.loop_stop()
        self.client.socket().close()


def lines(messages):
    return [f"{m.topic.removeprefix(root)} {m.payload.decode()} {m.qos} {m.retain}" for m in messages]


def equal(found, expected):
    assert found == expected, f"{found} instead of {expected}"


def every_qos(secure):
    name = "secure" if secure else "plain"
    subscriber, publisher = Peer(f"{name}-sub", secure=secure), Peer(f"{name}-pub", secure=secure)
    equal([subscriber.connect(), publisher.connect()], [False, False])
    for qos in range(3):
        subscriber.subscribe(f"{root}/{name}/{qos}/+", qos)
    for subscribed in range(3):
        for qos in range(3):
            publisher.publish(f"{root}/{name}/{subscribed}/{qos}", "x" * 1000, qos)
    arrived = sorted((m.topic, m.qos, len(m.payload)) for m in subscriber.take(9))
    equal(arrived, [(f"{root}/{name}/{s}/{q}", min(s, q), 1000) for s in range(3) for q in range(3)])
    subscriber.leave()
    publisher.leave()


def retained():
    publisher, subscriber = Peer("keeper"), Peer("late")
    publisher.connect()
    subscriber.connect()
    for topic, payload in [("a", "old"), ("a", "new"), ("b", "gone"), ("b", "")]:
        publisher.publish(f"{root}/kept/{topic}", payload, 1, retain=True)
    subscriber.subscribe(f"{root}/kept/#", 1)
    equal(lines(subscriber.take(1)), ["/kept/a new 1 True"])
    publisher.publish(f"{root}/kept/a", "live", 1, retain=True)
    equal(lines(subscriber.take(1)), ["/kept/a live 1 False"])
    publisher.leave()
    subscriber.leave()


def wills():
    subscriber = Peer("mourner")
    subscriber.connect()
    subscriber.subscribe(f"{root}/will", 2)
    polite = Peer("polite", will=(f"{root}/will", "never", 2, False))
    polite.connect()
    polite.leave()
    cut = Peer("cut", will=(f"{root}/will", "gone", 2, False))
    cut.connect()
    cut.cut()
    equal(lines(subscriber.take(1)), ["/will gone 2 False"])
    subscriber.leave()


def lasting_session():
    first = Peer("lasting", lasting=True)
    equal(first.connect(), False)
    first.subscribe(f"{root}/lasting/#", 2)
    first.leave()
    before = Peer("before")
    before.connect()
    before.publish(f"{root}/lasting/1", "one", 1)
    before.publish(f"{root}/lasting/2", "two", 2)
    before.leave()
    print("restart", flush=True)
    sys.stdin.readline()
    after = Peer("after")
    after.connect()
    after.publish(f"{root}/lasting/2", "three", 2)
    after.leave()
    second = Peer("lasting", lasting=True)
    equal(second.connect(), True)
    equal(lines(second.take(3)), ["/lasting/1 one 1 False", "/lasting/2 two 2 False", "/lasting/2 three 2 False"])
    second.leave()
    third = Peer("lasting", lasting=True)
    equal(third.connect(), True)
    third.nothing_more()
    third.leave()


def from_and_to_amqp():
    """What an AMQP program echoes from .../to-amqp to .../from-amqp."""
    device = Peer("device")
    device.connect()
    device.subscribe(f"{root}/from-amqp", 1)
    for qos in range(3):
        device.publish(f"{root}/to-amqp", f"at {qos}", qos)
    equal(lines(device.take(3)), [f"/from-amqp at {qos} 1 False" for qos in range(3)])
    device.leave()


def properties_of_5():
    subscriber = Peer("rich")
    subscriber.connect()
    subscriber.subscribe(f"{root}/rich", 1, noLocal=False, retainAsPublished=True)
    given = Properties(PacketTypes.PUBLISH)
    given.ContentType = "text/plain"
    given.ResponseTopic = f"{root}/answers"
    given.CorrelationData = b"\x00\xff17"
    given.PayloadFormatIndicator = 1
    given.MessageExpiryInterval = 60
    given.UserProperty = [("b", "1"), ("a", "2"), ("b", "3")]
    subscriber.publish(f"{root}/rich", "m", 1, retain=True, properties=given)
    (message,) = subscriber.take(1)
    found = message.properties
    equal(message.retain, True)
    equal([found.ContentType, found.ResponseTopic], ["text/plain", f"{root}/answers"])
    equal([found.CorrelationData, found.PayloadFormatIndicator], [b"\x00\xff17", 1])
    equal(sorted(found.UserProperty), sorted(given.UserProperty))
    equal([value for name, value in found.UserProperty if name == "b"], ["1", "3"])
    assert 30 < found.MessageExpiryInterval <= 60
    subscriber.leave()


every_qos(secure=False)
every_qos(secure=True)
retained()
wills()
lasting_session()
from_and_to_amqp()
if is_v5:
    properties_of_5()
print("done", flush=True)
