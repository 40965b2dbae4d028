import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.function.Function;
import org.apache.kafka.common.utils.Bytes;

/** The totals both rivals keep: which dimension, which window, and the bytes of a total's key. */
public enum Rollup {
    SECOND(order -> "", 1_000),
    PLATFORM(order -> order.platform, 60_000),
    MARKET(order -> order.market, 60_000),
    MERCHANT(order -> order.merchant, 0),
    CATEGORY(order -> order.category, 0),
    BRAND(order -> order.brand, 0);

    /** One rollup only, without telling duplicates apart: the easy variant. */
    public static final Rollup[] EASY = {PLATFORM};

    private static final int HEAD_BYTES = 9;

    private final Function<Order, String> dimension;
    private final long windowMs;

    Rollup(Function<Order, String> dimension, long windowMs) {
        this.dimension = dimension;
        this.windowMs = windowMs;
    }

    /** Return the key of the total an order belongs to: rollup, window, currency (three letters), value. */
    public Bytes key(Order order) {
        String value = dimension.apply(order);
        byte[] text = (order.currency + (value == null ? "__none__" : value)).getBytes(StandardCharsets.UTF_8);
        long window = windowMs == 0 ? 0 : order.ts / windowMs;
        ByteBuffer key = ByteBuffer.allocate(HEAD_BYTES + text.length);
        return Bytes.wrap(key.put((byte) ordinal()).putLong(window).put(text).array());
    }
}
