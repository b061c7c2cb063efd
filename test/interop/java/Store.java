import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.AlreadyClosedException;
import com.rabbitmq.client.BuiltinExchangeType;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.DefaultConsumer;
import com.rabbitmq.client.Envelope;
import com.rabbitmq.client.MessageProperties;
import com.rabbitmq.client.Recoverable;
import com.rabbitmq.client.RecoveryListener;
import com.rabbitmq.client.Return;
import com.rabbitmq.client.ShutdownSignalException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Date;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.BooleanSupplier;

/**
 * A store whose services talk AMQP with com.rabbitmq:amqp-client, which recovers connections, channels and consumers by itself: Store PORT
 *
 * An order reaches inventory, payment and shipping over a queue of each. Payment is down at first and catches up. In the middle the
 * program prints "kill": whoever runs it kills the broker and starts it again. The last line says what came of it, as JSON.
 */
public class Store {
  static final String EXCHANGE = "java.store";
  static final String KEY = "order.placed";
  static final int ORDERS_BEFORE = 150;
  static final int ORDERS_AFTER = 50;
  static final int PREFETCH = 10;
  static final long PATIENCE_MS = 30_000;

  static final AtomicInteger recovered = new AtomicInteger();
  static ConnectionFactory factory;

  public static void main(String[] args) throws Exception {
    // The client's threads would keep the process alive.
    Thread.currentThread().setUncaughtExceptionHandler((thread, error) -> {
      error.printStackTrace();
      System.exit(1);
    });
    factory = new ConnectionFactory();
    factory.setHost("127.0.0.1");
    factory.setPort(Integer.parseInt(args[0]));
    factory.setNetworkRecoveryInterval(100);
    factory.setRequestedHeartbeat(5);

    Connection connection = connect();
    Channel channel = connection.createChannel();
    channel.exchangeDeclare(EXCHANGE, BuiltinExchangeType.TOPIC, true);
    Service inventory = new Service("inventory");
    Service payment = new Service("payment");
    Service shipping = new Service("shipping");
    List<Service> services = List.of(inventory, payment, shipping);
    for (Service service : services) {
      channel.queueDeclare(service.queue, true, false, false, Map.of("x-queue-type", "quorum"));
      channel.queueBind(service.queue, EXCHANGE, "order.*");
    }
    refusals(connection);

    inventory.start();
    shipping.start();
    Till till = new Till();
    till.place(ORDERS_BEFORE);
    await("inventory and shipping have the first orders", () ->
        inventory.handled.size() == ORDERS_BEFORE && shipping.handled.size() == ORDERS_BEFORE);
    AMQP.Queue.DeclareOk waiting = channel.queueDeclarePassive(payment.queue);
    if (waiting.getMessageCount() != ORDERS_BEFORE || waiting.getConsumerCount() != 0) {
      throw new IllegalStateException("payment is down, and " + waiting.getMessageCount() + " orders wait for it");
    }

    payment.start();
    System.out.println("kill");
    while (till.reconnected == 0) {
      till.place(1);
      Thread.sleep(1);
    }
    till.place(ORDERS_AFTER);
    for (Service service : services) {
      await(service.queue + " has every order", () -> service.handled.size() == till.placed);
    }
    // The connections of the setup, of the three services and of the till.
    await("every connection is recovered", () -> recovered.get() == 5);
    for (Service service : services) {
      await(service.queue + " is empty", () -> {
        try {
          return channel.queueDeclarePassive(service.queue).getMessageCount() == 0;
        } catch (IOException error) {
          throw new IllegalStateException(error);
        }
      });
    }
    System.out.printf(
        "{\"orders\":%d,\"inventory\":%d,\"payment\":%d,\"shipping\":%d,\"reconnected\":%d,\"resumed\":%d}%n",
        till.placed, inventory.handled.size(), payment.handled.size(), shipping.handled.size(), till.reconnected,
        recovered.get());
    System.exit(0);
  }

  static Connection connect() throws IOException, TimeoutException {
    Connection connection = factory.newConnection();
    ((Recoverable) connection).addRecoveryListener(new RecoveryListener() {
      @Override
      public void handleRecovery(Recoverable recoverable) {
        recovered.incrementAndGet();
      }

      @Override
      public void handleRecoveryStarted(Recoverable recoverable) {}
    });
    return connection;
  }

  /** Takes orders from its queue, each once, whatever is delivered twice. */
  static class Service {
    final String queue;
    final Set<String> handled = ConcurrentHashMap.newKeySet();

    Service(String name) {
      queue = "java.store." + name;
    }

    void start() throws IOException, TimeoutException {
      Channel channel = connect().createChannel();
      channel.basicQos(PREFETCH);
      channel.basicConsume(queue, false, new DefaultConsumer(channel) {
        @Override
        public void handleDelivery(String tag, Envelope envelope, AMQP.BasicProperties properties, byte[] body)
            throws IOException {
          handled.add(properties.getMessageId());
          try {
            channel.basicAck(envelope.getDeliveryTag(), false);
          } catch (AlreadyClosedException error) {
            // It is delivered again.
          }
        }
      });
    }
  }

  /** Places orders; an order is placed when it is confirmed. */
  static class Till {
    final Channel channel;
    int placed;
    int reconnected;

    Till() throws IOException, TimeoutException {
      channel = connect().createChannel();
      channel.confirmSelect();
    }

    void place(int count) throws InterruptedException {
      for (int left = count; left > 0; ) {
        int batch = Math.min(left, 50);
        try {
          for (int index = 0; index < batch; index++) {
            publish("order-" + (placed + index));
          }
          channel.waitForConfirmsOrDie(PATIENCE_MS);
          placed += batch;
          left -= batch;
        } catch (ShutdownSignalException | IOException | TimeoutException error) {
          // All of the batch again: nobody knows what of it is there.
          reconnected++;
          await("the till is connected again", channel::isOpen);
        }
      }
    }

    void publish(String id) throws IOException {
      AMQP.BasicProperties properties = MessageProperties.PERSISTENT_TEXT_PLAIN.builder()
          .messageId(id)
          .timestamp(new Date())
          .headers(Map.of("attempt", reconnected, "tags", List.of("a", 1L, true)))
          .build();
      channel.basicPublish(EXCHANGE, KEY, true, properties, id.getBytes(StandardCharsets.UTF_8));
    }
  }

  /** What the client makes of an unroutable message, of a queue deleted under its consumer, and of an error of a channel. */
  static void refusals(Connection connection) throws Exception {
    Channel channel = connection.createChannel();
    BlockingQueue<Return> returns = new LinkedBlockingQueue<>();
    channel.addReturnListener(returns::add);
    channel.basicPublish("", "java.nowhere", true, null, "back".getBytes(StandardCharsets.UTF_8));
    Return back = returns.poll(PATIENCE_MS, TimeUnit.MILLISECONDS);
    if (back == null || back.getReplyCode() != AMQP.NO_ROUTE) throw new IllegalStateException("not returned");

    String queue = channel.queueDeclare().getQueue();
    BlockingQueue<String> cancelled = new LinkedBlockingQueue<>();
    channel.basicConsume(queue, false, "watcher", (tag, delivery) -> {}, cancelled::add);
    channel.queueDelete(queue);
    if (!"watcher".equals(cancelled.poll(PATIENCE_MS, TimeUnit.MILLISECONDS))) {
      throw new IllegalStateException("not cancelled");
    }
    try {
      channel.queueDeclarePassive(queue);
      throw new IllegalStateException("a queue that is gone was found");
    } catch (IOException error) {
      ShutdownSignalException signal = (ShutdownSignalException) error.getCause();
      AMQP.Channel.Close close = (AMQP.Channel.Close) signal.getReason();
      if (close.getReplyCode() != AMQP.NOT_FOUND || channel.isOpen() || !connection.isOpen()) {
        throw new IllegalStateException(error);
      }
    }
  }

  static void await(String what, BooleanSupplier isSo) throws InterruptedException {
    long end = System.currentTimeMillis() + PATIENCE_MS;
    while (!isSo.getAsBoolean()) {
      if (System.currentTimeMillis() > end) throw new IllegalStateException("not so: " + what);
      Thread.sleep(10);
    }
  }
}
