/**
 * Starts Trino from its jars: the launcher of its distribution is not in Maven. By reflection, so that an older JDK than Trino's can
 * compile it.
 */
public final class TestServer {
  public static void main(String[] arguments) throws ReflectiveOperationException {
    Class<?> server = Class.forName("io.trino.server.Server");
    server.getMethod("start", String.class).invoke(server.getConstructor().newInstance(), "483");
  }
}
