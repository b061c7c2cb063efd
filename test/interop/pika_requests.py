"""Delayed messages, deduplication and control requests, as docs/AMQP.md tells pika's users to ask for them."""

import json
import sys

import pika

connection = pika.BlockingConnection(pika.ConnectionParameters('127.0.0.1', int(sys.argv[1])))
channel = connection.channel()
answers = []
channel.basic_consume('amq.rabbitmq.reply-to', lambda *delivery: answers.append(json.loads(delivery[3])), auto_ack=True)


def ask(**request):
    properties = pika.BasicProperties(reply_to='amq.rabbitmq.reply-to')
    channel.basic_publish('', 'amq.postrider.control', json.dumps(request), properties)
    while not answers:
        connection.process_data_events(None)
    return answers.pop()


def publish(exchange, key, body, **headers):
    properties = pika.BasicProperties(message_id=body, delivery_mode=2, headers=headers)
    channel.basic_publish(exchange, key, body, properties, mandatory=True)


channel.queue_declare('pika.jobs', durable=True, arguments={'x-message-deduplication': True})
channel.exchange_declare('pika.later', 'x-delayed-message', durable=True, arguments={'x-delayed-type': 'topic'})
channel.exchange_declare('pika.shared', 'x-consistent-hash', arguments={'hash-header': 'customer'})
channel.queue_bind('pika.jobs', 'pika.shared', routing_key='10')

publish('', 'pika.jobs', 'reminder-17', **{'x-delay': 15 * 60 * 1000})
for message in ask(verb='list-delayed', queue='pika.jobs', limit=50)['messages']:
    assert message['properties']['messageId'] == 'reminder-17', message
    assert ask(verb='cancel-delayed', queue='pika.jobs', id=message['id']) == {'ok': True}
assert ask(verb='list-delayed', queue='pika.jobs')['delayed'] == 0

publish('pika.later', 'a.b', 'held', **{'x-delay': 200})
channel.queue_bind('pika.jobs', 'pika.later', 'a.*')
for _ in range(3):
    publish('pika.shared', 'any', 'once', **{'customer': 'c', 'x-deduplication-header': 'order-4711'})

bodies = []
for method, properties, body in channel.consume('pika.jobs', inactivity_timeout=10):
    assert method is not None, bodies
    bodies.append(body.decode())
    assert ask(verb='extend-lease', deliveryTag=method.delivery_tag, ms=7_200_000) == {'ok': True}
    channel.basic_ack(method.delivery_tag)
    if len(bodies) == 2:
        break
channel.cancel()
assert bodies == ['once', 'held'], bodies
assert properties.headers == {'x-delay': -200}, properties.headers
assert ask(verb='redrive', queue='pika.jobs') == {'ok': True, 'moved': 0, 'stayed': 0, 'stopped': None}

channel.queue_delete('pika.jobs')
channel.exchange_delete('pika.later')
channel.exchange_delete('pika.shared')
connection.close()
print(f'pika {pika.__version__}: delayed, deduplicated, asked')
