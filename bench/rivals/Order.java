import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Currency;
import java.util.Set;
import java.util.stream.Collectors;
import net.jpountz.xxhash.XXHash64;
import net.jpountz.xxhash.XXHashFactory;

/** An order event, decoded by Jackson's streaming parser and strictly checked; both rivals use it. */
public class Order {
    private static final JsonFactory JSON = new JsonFactory();
    private static final XXHash64 HASH = XXHashFactory.fastestJavaInstance().hash64();
    private static final Set<String> CURRENCIES =
            Currency.getAvailableCurrencies().stream().map(Currency::getCurrencyCode).collect(Collectors.toSet());
    private static final long MOST_MINOR = 10_000_000_000_000L;
    private static final int MOST_CHARACTERS = 64;

    /** The hash of its event_id, to tell duplicates apart: 64 bits, as our worker keeps them. */
    public long idHash;

    public boolean isCancelled;
    public long ts;
    public String platform;
    public String merchant;
    public String market;
    public String currency;
    public String category;
    public String brand;
    public long amountMinor = -1;

    /** Return the order in a record's value, null where it is to be rejected. */
    public static Order parse(byte[] json) {
        if (json == null) {
            return null;
        }
        Order order = new Order();
        try (JsonParser parser = JSON.createParser(json)) {
            return parser.nextToken() == JsonToken.START_OBJECT && order.read(parser) && parser.nextToken() == null
                    ? order
                    : null;
        } catch (IOException | Malformed error) {
            return null;
        }
    }

    private boolean read(JsonParser parser) throws IOException {
        String type = null;
        String eventId = null;
        String orderId = null;
        long couponMinor = 0;
        long creditMinor = 0;
        ts = -1;
        for (String name = parser.nextFieldName(); name != null; name = parser.nextFieldName()) {
            parser.nextToken();
            switch (name) {
                case "type" -> type = text(parser);
                case "event_id" -> eventId = text(parser);
                case "ts" -> ts = integer(parser, Long.MAX_VALUE);
                case "order_id" -> orderId = text(parser);
                case "platform" -> platform = text(parser);
                case "merchant" -> merchant = text(parser);
                case "market" -> market = text(parser);
                case "currency" -> currency = text(parser);
                case "category" -> category = text(parser);
                case "brand" -> brand = text(parser);
                case "buyer" -> text(parser);
                case "amount_minor" -> amountMinor = integer(parser, MOST_MINOR);
                case "coupon_minor" -> couponMinor = integer(parser, MOST_MINOR);
                case "credit_minor" -> creditMinor = integer(parser, MOST_MINOR);
                default -> parser.skipChildren();
            }
        }
        isCancelled = "order_cancelled".equals(type);
        idHash = eventId == null ? 0 : hash(eventId.getBytes(StandardCharsets.UTF_8));
        return (isCancelled || "order_placed".equals(type))
                && eventId != null && ts >= 0 && orderId != null && platform != null && merchant != null
                && market != null && CURRENCIES.contains(currency) && amountMinor >= couponMinor + creditMinor;
    }

    private static long hash(byte[] bytes) {
        return HASH.hash(bytes, 0, bytes.length, 0);
    }

    private static String text(JsonParser parser) throws IOException {
        if (parser.currentToken() != JsonToken.VALUE_STRING) {
            throw new Malformed();
        }
        String text = parser.getText();
        if (text.isEmpty() || text.length() > MOST_CHARACTERS || text.startsWith("__")) {
            throw new Malformed();
        }
        return text;
    }

    private static long integer(JsonParser parser, long most) throws IOException {
        if (parser.currentToken() != JsonToken.VALUE_NUMBER_INT) {
            throw new Malformed();
        }
        long number = parser.getLongValue();
        if (number < 0 || number > most) {
            throw new Malformed();
        }
        return number;
    }

    private static final class Malformed extends RuntimeException {
        private static final long serialVersionUID = 1;

        Malformed() {
            super(null, null, false, false);
        }
    }
}
