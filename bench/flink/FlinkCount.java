import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.serialization.SerializationSchema;
import org.apache.flink.api.common.state.StateTtlConfig;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple3;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.sink.TransactionNamingStrategy;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.utils.Bytes;

/** Counts orders with the DataStream API, exactly once, in one process; totals that changed go to a topic. */
public final class FlinkCount {
    private static final TypeInformation<Tuple3<String, Long, Long>> TOTAL =
            Types.TUPLE(Types.STRING, Types.LONG, Types.LONG);
    private static final Duration HORIZON = Duration.ofMinutes(10);
    private static final AtomicBoolean HAS_BEGUN = new AtomicBoolean();

    private FlinkCount() {}

    public static void main(String[] args) throws Exception {
        String broker = args[0];
        String topic = args[1];
        String name = args[2];
        boolean isEasy = args[4].equals("easy");
        String backend = isEasy ? "hashmap" : args[4];
        StreamExecutionEnvironment flink =
                StreamExecutionEnvironment.createLocalEnvironment(1, settings(backend, args[3]));
        DataStream<Order> orders =
                flink.fromSource(source(broker, topic, name), WatermarkStrategy.noWatermarks(), "orders");
        DataStream<Order> once =
                isEasy ? orders : orders.keyBy(order -> order.idHash).process(new Once()).name("once");
        once.transform("fold", TOTAL, new Fold(isEasy ? Rollup.EASY : Rollup.values()))
                .keyBy(delta -> delta.f0)
                .process(new Add())
                .name("add")
                .sinkTo(sink(broker, name));
        flink.execute(name);
    }

    private static Configuration settings(String backend, String directory) {
        Configuration settings = new Configuration();
        settings.setString("state.backend.type", backend);
        settings.setString("execution.checkpointing.dir", "file://" + directory);
        settings.setString("execution.checkpointing.interval", "500 ms");
        settings.setString("execution.checkpointing.mode", "EXACTLY_ONCE");
        // Without it the heap backend writes all its ids, and RocksDB its tables, at every checkpoint.
        settings.setString("state.changelog.enabled", "true");
        settings.setString("state.changelog.storage", "filesystem");
        settings.setString("state.changelog.dstl.dfs.base-path", "file://" + directory + "/changelog");
        settings.setString("execution.checkpointing.incremental", "true");
        settings.setString("execution.checkpointing.tolerable-failed-checkpoints", "0");
        settings.setString("restart-strategy.type", "disable");
        settings.setString("pipeline.object-reuse", "true");
        settings.setString("pipeline.generic-types", "false");
        settings.setString("state.backend.rocksdb.use-bloom-filter", "true");
        settings.setString("taskmanager.memory.managed.size", "256 mb");
        return settings;
    }

    private static KafkaSource<Order> source(String broker, String topic, String name) {
        return KafkaSource.<Order>builder()
                .setBootstrapServers(broker)
                .setTopics(topic)
                .setGroupId(name)
                .setStartingOffsets(OffsetsInitializer.earliest())
                .setDeserializer(new Decode())
                .setProperty("max.poll.records", "10000")
                .setProperty("max.partition.fetch.bytes", String.valueOf(4 << 20))
                .build();
    }

    private static KafkaSink<Tuple3<String, Long, Long>> sink(String broker, String name) {
        Properties producer = new Properties();
        producer.put("transaction.timeout.ms", "60000");
        producer.put("batch.size", String.valueOf(512 << 10));
        producer.put("linger.ms", "100");
        producer.put("compression.type", "lz4");
        return KafkaSink.<Tuple3<String, Long, Long>>builder()
                .setBootstrapServers(broker)
                .setKafkaProducerConfig(producer)
                .setDeliveryGuarantee(DeliveryGuarantee.EXACTLY_ONCE)
                .setTransactionalIdPrefix(name)
                .setTransactionNamingStrategy(TransactionNamingStrategy.POOLING)
                .setRecordSerializer(KafkaRecordSerializationSchema.<Tuple3<String, Long, Long>>builder()
                        .setTopic(name + "-totals")
                        .setKeySerializationSchema(new Key())
                        .setValueSerializationSchema(new Sums())
                        .build())
                .build();
    }

    /** Record to order; what is rejected goes nowhere. */
    private static final class Decode implements KafkaRecordDeserializationSchema<Order> {
        private static final long serialVersionUID = 1;

        @Override
        public void deserialize(ConsumerRecord<byte[], byte[]> record, Collector<Order> out) {
            if (!HAS_BEGUN.getPlain() && HAS_BEGUN.compareAndSet(false, true)) {
                System.out.println("began " + System.currentTimeMillis());
            }
            Order order = Order.parse(record.value());
            if (order != null) {
                out.collect(order);
            }
        }

        @Override
        public TypeInformation<Order> getProducedType() {
            return TypeInformation.of(Order.class);
        }
    }

    /** Lets an event's id pass once in ten minutes. */
    private static final class Once extends KeyedProcessFunction<Long, Order, Order> {
        private static final long serialVersionUID = 1;
        private transient ValueState<Boolean> seen;

        @Override
        public void open(OpenContext context) {
            ValueStateDescriptor<Boolean> descriptor = new ValueStateDescriptor<>("seen", Types.BOOLEAN);
            descriptor.enableTimeToLive(
                    StateTtlConfig.newBuilder(HORIZON).cleanupIncrementally(1, false).build());
            seen = getRuntimeContext().getState(descriptor);
        }

        @Override
        public void processElement(Order order, Context context, Collector<Order> out) throws Exception {
            boolean isDuplicate = seen.value() != null;
            seen.update(true);
            if (!isDuplicate) {
                out.collect(order);
            }
        }
    }

    /** Adds up between two checkpoints, so that few sums and not all orders travel to the keys of the totals. */
    private static final class Fold extends AbstractStreamOperator<Tuple3<String, Long, Long>>
            implements OneInputStreamOperator<Order, Tuple3<String, Long, Long>> {
        private static final long serialVersionUID = 1;
        private final Rollup[] rollups;
        private transient Map<Bytes, long[]> sums;

        Fold(Rollup[] rollups) {
            this.rollups = rollups;
        }

        @Override
        public void open() {
            sums = new HashMap<>();
        }

        @Override
        public void processElement(StreamRecord<Order> element) {
            Order order = element.getValue();
            if (order.isCancelled) {
                return;
            }
            for (Rollup rollup : rollups) {
                long[] sum = sums.computeIfAbsent(rollup.key(order), key -> new long[2]);
                sum[0]++;
                sum[1] += order.amountMinor;
            }
        }

        @Override
        public void prepareSnapshotPreBarrier(long checkpoint) {
            sums.forEach((key, sum) -> output.collect(new StreamRecord<>(
                    Tuple3.of(new String(key.get(), StandardCharsets.ISO_8859_1), sum[0], sum[1]))));
            sums.clear();
        }
    }

    /** Adds a checkpoint's sums to the totals. */
    private static final class Add
            extends KeyedProcessFunction<String, Tuple3<String, Long, Long>, Tuple3<String, Long, Long>> {
        private static final long serialVersionUID = 1;
        private transient ValueState<Tuple3<String, Long, Long>> total;

        @Override
        public void open(OpenContext context) {
            total = getRuntimeContext().getState(new ValueStateDescriptor<>("total", TOTAL));
        }

        @Override
        public void processElement(
                Tuple3<String, Long, Long> delta, Context context, Collector<Tuple3<String, Long, Long>> out)
                throws Exception {
            Tuple3<String, Long, Long> before = total.value();
            Tuple3<String, Long, Long> after =
                    before == null ? delta : Tuple3.of(delta.f0, before.f1 + delta.f1, before.f2 + delta.f2);
            total.update(after);
            out.collect(after);
        }
    }

    /** The key of a total as Kafka stores it. */
    private static final class Key implements SerializationSchema<Tuple3<String, Long, Long>> {
        private static final long serialVersionUID = 1;

        @Override
        public byte[] serialize(Tuple3<String, Long, Long> total) {
            return total.f0.getBytes(StandardCharsets.ISO_8859_1);
        }
    }

    /** Its number of orders and their GMV. */
    private static final class Sums implements SerializationSchema<Tuple3<String, Long, Long>> {
        private static final long serialVersionUID = 1;

        @Override
        public byte[] serialize(Tuple3<String, Long, Long> total) {
            return ByteBuffer.allocate(2 * Long.BYTES).putLong(total.f1).putLong(total.f2).array();
        }
    }
}
