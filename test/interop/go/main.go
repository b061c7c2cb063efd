// A store whose services talk AMQP with github.com/rabbitmq/amqp091-go: go run . PORT
//
// An order reaches inventory, payment and shipping over a queue of each. Payment is down at first and catches up. In the middle the
// program prints "kill": whoever runs it kills the broker and starts it again. The last line says what came of it, as JSON.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	exchange     = "go.store"
	key          = "order.placed"
	ordersBefore = 150
	ordersAfter  = 50
	prefetch     = 10
	patience     = 30 * time.Second
)

var url string

func main() {
	log.SetFlags(0)
	url = "amqp://guest:guest@127.0.0.1:" + os.Args[1] + "/"
	deadline := time.AfterFunc(patience, func() { log.Fatal("the store took too long") })
	defer deadline.Stop()

	connection := dial()
	channel := open(connection)
	check(channel.ExchangeDeclare(exchange, amqp.ExchangeTopic, true, false, false, false, nil))
	inventory, payment, shipping := newService("inventory"), newService("payment"), newService("shipping")
	for _, service := range []*service{inventory, payment, shipping} {
		declare(channel, service.queue)
	}
	refusals(connection)

	go inventory.run()
	go shipping.run()
	till := &till{}
	till.place(ordersBefore)
	await("inventory and shipping have the first orders", func() bool {
		return inventory.count() == ordersBefore && shipping.count() == ordersBefore
	})
	waiting, err := channel.QueueDeclarePassive(payment.queue, true, false, false, false, nil)
	check(err)
	if waiting.Messages != ordersBefore || waiting.Consumers != 0 {
		log.Fatalf("payment is down, and %d orders wait for it, not %d", waiting.Messages, ordersBefore)
	}

	go payment.run()
	fmt.Println("kill")
	for till.reconnected == 0 {
		till.place(1)
		time.Sleep(time.Millisecond)
	}
	till.place(ordersAfter)
	for _, service := range []*service{inventory, payment, shipping} {
		await(service.queue+" has every order", func() bool { return service.count() == till.placed })
	}

	connection = dial()
	channel = open(connection)
	for _, service := range []*service{inventory, payment, shipping} {
		await(service.queue+" is empty", func() bool {
			left, err := channel.QueueDeclarePassive(service.queue, true, false, false, false, nil)
			check(err)
			return left.Messages == 0
		})
	}
	check(connection.Close())
	told, _ := json.Marshal(map[string]int{
		"orders": till.placed, "inventory": inventory.count(), "payment": payment.count(), "shipping": shipping.count(),
		"reconnected": till.reconnected, "resumed": int(inventory.reconnected.Load() + payment.reconnected.Load() + shipping.reconnected.Load()),
	})
	fmt.Println(string(told))
}

// A service takes orders from its queue, each once, whatever is delivered twice.
type service struct {
	queue       string
	reconnected atomic.Int32
	mutex       sync.Mutex
	handled     map[string]bool
}

func newService(name string) *service {
	return &service{queue: "go.store." + name, handled: map[string]bool{}}
}

func (s *service) count() int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return len(s.handled)
}

func (s *service) run() {
	for ; ; s.reconnected.Add(1) {
		connection := dial()
		channel := open(connection)
		check(channel.Qos(prefetch, 0, false))
		deliveries, err := channel.Consume(s.queue, "", false, false, false, false, nil)
		if err != nil {
			continue // The broker went down in between.
		}
		for delivery := range deliveries {
			s.mutex.Lock()
			s.handled[delivery.MessageId] = true
			s.mutex.Unlock()
			_ = delivery.Ack(false)
		}
	}
}

// The till places orders, and an order is placed when it is confirmed.
type till struct {
	placed      int
	reconnected int
	connection  *amqp.Connection
	channel     *amqp.Channel
}

func (t *till) place(count int) {
	for left := count; left > 0; {
		batch := left
		if batch > 50 {
			batch = 50
		}
		if err := t.publish(batch); err != nil {
			t.channel = nil
			t.reconnected++
			continue // All of the batch again: nobody knows what of it is there.
		}
		t.placed += batch
		left -= batch
	}
}

func (t *till) publish(count int) error {
	if t.channel == nil {
		t.connection = dial()
		t.channel = open(t.connection)
		check(t.channel.Confirm(false))
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	lost := t.channel.NotifyClose(make(chan *amqp.Error, 1))
	var confirms []*amqp.DeferredConfirmation
	for index := 0; index < count; index++ {
		id := fmt.Sprintf("order-%d", t.placed+index)
		message := amqp.Publishing{
			MessageId: id, DeliveryMode: amqp.Persistent, ContentType: "application/json", Timestamp: time.Now(),
			Headers: amqp.Table{"attempt": int32(t.reconnected), "tags": []interface{}{"a", int64(1), true}},
			Body:    []byte(`{"id":"` + id + `"}`),
		}
		confirm, err := t.channel.PublishWithDeferredConfirmWithContext(ctx, exchange, key, true, false, message)
		if err != nil {
			return err
		}
		confirms = append(confirms, confirm)
	}
	for _, confirm := range confirms {
		select {
		case <-confirm.Done():
			if !confirm.Acked() {
				return errors.New("an order was refused")
			}
		case <-lost:
			return errors.New("the connection was lost")
		}
	}
	return nil
}

// What the client makes of an unroutable message, of an error of a channel, and of a queue deleted under its consumer.
func refusals(connection *amqp.Connection) {
	channel := open(connection)
	returns := channel.NotifyReturn(make(chan amqp.Return, 1))
	check(channel.Publish("", "go.nowhere", true, false, amqp.Publishing{Body: []byte("back")}))
	if back := <-returns; back.ReplyCode != amqp.NoRoute || string(back.Body) != "back" {
		log.Fatalf("returned: %d %s", back.ReplyCode, back.Body)
	}
	queue, err := channel.QueueDeclare("", false, true, true, false, nil)
	check(err)
	cancelled := channel.NotifyCancel(make(chan string, 1))
	_, err = channel.Consume(queue.Name, "watcher", false, false, false, false, nil)
	check(err)
	_, err = channel.QueueDelete(queue.Name, false, false, false)
	check(err)
	if tag := <-cancelled; tag != "watcher" {
		log.Fatalf("cancelled: %s", tag)
	}
	_, err = channel.QueueDeclarePassive(queue.Name, false, false, false, false, nil)
	var refused *amqp.Error
	if !errors.As(err, &refused) || refused.Code != amqp.NotFound || !channel.IsClosed() || connection.IsClosed() {
		log.Fatalf("a queue that is gone: %v", err)
	}
}

func declare(channel *amqp.Channel, queue string) {
	_, err := channel.QueueDeclare(queue, true, false, false, false, amqp.Table{amqp.QueueTypeArg: amqp.QueueTypeQuorum})
	check(err)
	check(channel.QueueBind(queue, "order.*", exchange, false, nil))
}

func dial() *amqp.Connection {
	for {
		connection, err := amqp.Dial(url)
		if err == nil {
			return connection
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func open(connection *amqp.Connection) *amqp.Channel {
	for {
		channel, err := connection.Channel()
		if err == nil {
			return channel
		}
		time.Sleep(50 * time.Millisecond)
		connection = dial()
	}
}

func await(what string, isSo func() bool) {
	for began := time.Now(); !isSo(); time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > patience {
			log.Fatalf("not so: %s", what)
		}
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
