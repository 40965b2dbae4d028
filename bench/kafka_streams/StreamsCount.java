import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;
import org.apache.kafka.streams.state.WindowStore;
import org.apache.kafka.streams.state.WindowStoreIterator;

/** Counts orders with the Processor API, exactly once; the changelog of `totals` holds the committed totals. */
public final class StreamsCount {
    private static final String SEEN = "seen";
    private static final String TOTALS = "totals";
    private static final Duration HORIZON = Duration.ofMinutes(10);
    private static final long MINUTE_MS = 60_000;
    private static final AtomicBoolean HAS_BEGUN = new AtomicBoolean();

    private StreamsCount() {}

    public static void main(String[] args) {
        String broker = args[0];
        String topic = args[1];
        String name = args[2];
        boolean isEasy = args[4].equals("easy");
        KafkaStreams streams = new KafkaStreams(topology(topic, isEasy), settings(broker, name, args[3]));
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            return StreamThreadExceptionResponse.SHUTDOWN_APPLICATION;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
        streams.start();
    }

    private static Topology topology(String topic, boolean isEasy) {
        Topology topology = new Topology();
        topology.addSource("orders", Serdes.ByteArray().deserializer(), Serdes.ByteArray().deserializer(), topic);
        topology.addProcessor("count", () -> new Count(isEasy), "orders");
        topology.addStateStore(
                Stores.keyValueStoreBuilder(Stores.inMemoryKeyValueStore(TOTALS), Serdes.Bytes(), Serdes.ByteArray())
                        .withCachingEnabled(),
                "count");
        if (!isEasy) {
            Duration minute = Duration.ofMillis(MINUTE_MS);
            topology.addStateStore(
                    Stores.windowStoreBuilder(
                            Stores.inMemoryWindowStore(SEEN, HORIZON.plus(minute), minute, false),
                            Serdes.Bytes(),
                            Serdes.ByteArray()),
                    "count");
        }
        return topology;
    }

    private static Properties settings(String broker, String name, String directory) {
        Properties settings = new Properties();
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, broker);
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, name);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, directory);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 500);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 256L << 20);
        settings.put(StreamsConfig.BUFFERED_RECORDS_PER_PARTITION_CONFIG, 20_000);
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 10_000);
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_PARTITION_FETCH_BYTES_CONFIG), 4 << 20);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 512 << 10);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.COMPRESSION_TYPE_CONFIG), "lz4");
        return settings;
    }

    /** Totals per partition, as a reader sums them up: no order travels through a repartition topic. */
    private static final class Count implements Processor<byte[], byte[], Void, Void> {
        private final boolean isEasy;
        private final Rollup[] rollups;
        private WindowStore<Bytes, byte[]> seen;
        private KeyValueStore<Bytes, byte[]> totals;

        Count(boolean isEasy) {
            this.isEasy = isEasy;
            rollups = isEasy ? Rollup.EASY : Rollup.values();
        }

        @Override
        public void init(ProcessorContext<Void, Void> context) {
            totals = context.getStateStore(TOTALS);
            seen = isEasy ? null : context.getStateStore(SEEN);
        }

        @Override
        public void process(Record<byte[], byte[]> record) {
            if (!HAS_BEGUN.getPlain() && HAS_BEGUN.compareAndSet(false, true)) {
                System.out.println("began " + System.currentTimeMillis());
            }
            Order order = Order.parse(record.value());
            if (order == null || !isEasy && isDuplicate(order, record.timestamp()) || order.isCancelled) {
                return;
            }
            for (Rollup rollup : rollups) {
                Bytes key = rollup.key(order);
                byte[] total = totals.get(key);
                ByteBuffer sums = ByteBuffer.allocate(2 * Long.BYTES);
                if (total == null) {
                    sums.putLong(1).putLong(order.amountMinor);
                } else {
                    ByteBuffer before = ByteBuffer.wrap(total);
                    sums.putLong(before.getLong() + 1).putLong(before.getLong() + order.amountMinor);
                }
                totals.put(key, sums.array());
            }
        }

        private boolean isDuplicate(Order order, long timeMs) {
            Bytes id = Bytes.wrap(ByteBuffer.allocate(Long.BYTES).putLong(order.idHash).array());
            long minuteMs = timeMs - timeMs % MINUTE_MS;
            boolean isDuplicate;
            try (WindowStoreIterator<byte[]> sightings = seen.fetch(id, minuteMs - HORIZON.toMillis(), minuteMs)) {
                isDuplicate = sightings.hasNext();
            }
            seen.put(id, new byte[] {1}, minuteMs);
            return isDuplicate;
        }
    }
}
