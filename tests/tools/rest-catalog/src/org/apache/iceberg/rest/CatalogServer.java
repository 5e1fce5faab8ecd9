package org.apache.iceberg.rest;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.iceberg.CatalogUtil;
import org.apache.iceberg.rest.HTTPRequest.HTTPMethod;
import org.apache.iceberg.rest.responses.ErrorResponse;
import org.apache.iceberg.util.Pair;

/**
 * Apache Iceberg's reference REST adapter on 127.0.0.1, with what real catalogs ask of a client besides: tokens, a prefix, a
 * warehouse's name, vended storage credentials. Arguments: PORT KEY=VALUE…; options of the server:
 *
 * <ul>
 *   <li>credential=ID:SECRET: OAuth2 at v1/oauth/tokens; every other request needs a token
 *   <li>token=TOKEN: a bearer token that is good for ever
 *   <li>token-seconds=N: how long a token from v1/oauth/tokens is good (default 3600)
 *   <li>prefix=P: told by v1/config; all paths but these two are only served under v1/P/
 *   <li>name=N: v1/config wants ?warehouse=N
 *   <li>catalog=NAME: the catalog's name in the database (default rest); tables of one database under other names are not seen
 *   <li>vend=config, storage-credentials or true (both): a table that is loaded or created carries the s3.* properties below, for
 *       clients that ask by the header X-Iceberg-Access-Delegation: vended-credentials
 * </ul>
 *
 * All others are properties of the catalog (uri, warehouse, io-impl, s3.…, client.region, clients). Prints READY when it answers.
 */
public final class CatalogServer {
  private static final ObjectMapper JSON = RESTObjectMapper.mapper();

  private final RESTCatalogAdapter adapter;
  private final Tokens tokens;
  private final String prefix;
  private final String name;
  private final String vend;
  private final String vendFor;
  private final ObjectNode vended = JSON.createObjectNode();

  private CatalogServer(Map<String, String> options) {
    tokens = new Tokens(options.remove("credential"), options.remove("token"), lifetime(options.remove("token-seconds")));
    prefix = options.remove("prefix");
    name = options.remove("name");
    vend = options.remove("vend");
    if (vend != null && !vend.matches("config|storage-credentials|true")) {
      throw new IllegalArgumentException("vend=" + vend + ": config, storage-credentials or true");
    }
    vendFor = options.get("warehouse");
    options.forEach(
        (key, value) -> {
          if (key.startsWith("s3.") || key.equals("client.region")) {
            vended.put(key, value);
          }
        });
    options.put("catalog-impl", "org.apache.iceberg.jdbc.JdbcCatalog");
    options.put("jdbc.schema-version", "V1");
    String catalog = options.getOrDefault("catalog", "rest");
    options.remove("catalog");
    adapter = new RESTCatalogAdapter(CatalogUtil.buildIcebergCatalog(catalog, options, null));
  }

  private static Duration lifetime(String seconds) {
    return Duration.ofSeconds(seconds == null ? 3600 : Long.parseLong(seconds));
  }

  public static void main(String[] arguments) throws IOException {
    int port = Integer.parseInt(arguments[0]);
    Map<String, String> options = new HashMap<>();
    for (int i = 1; i < arguments.length; i++) {
      String[] pair = arguments[i].split("=", 2);
      if (pair.length != 2) {
        throw new IllegalArgumentException(arguments[i] + " is not KEY=VALUE");
      }
      options.put(pair[0], pair[1]);
    }
    HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 128);
    CatalogServer catalog = new CatalogServer(options);
    server.setExecutor(Executors.newCachedThreadPool());
    server.createContext("/", catalog::serve);
    server.start();
    System.out.println("READY " + port);
  }

  /** What goes back: a status, and a body unless it is null. */
  private record Answer(int status, JsonNode body) {}

  private static Answer error(int status, String type, String message) {
    ErrorResponse response = ErrorResponse.builder().responseCode(status).withType(type).withMessage(message).build();
    return new Answer(status, JSON.valueToTree(response));
  }

  private void serve(HttpExchange exchange) throws IOException {
    Answer answer;
    try {
      answer = answer(exchange);
    } catch (Exception e) {
      e.printStackTrace();
      answer = error(500, e.getClass().getSimpleName(), String.valueOf(e.getMessage()));
    }
    try (exchange) {
      if (answer.body() == null || exchange.getRequestMethod().equals("HEAD")) {
        exchange.sendResponseHeaders(answer.status() == 200 ? 204 : answer.status(), -1);
        return;
      }
      byte[] body = JSON.writeValueAsBytes(answer.body());
      exchange.getResponseHeaders().set("Content-Type", "application/json");
      exchange.sendResponseHeaders(answer.status(), body.length);
      exchange.getResponseBody().write(body);
    }
  }

  private Answer answer(HttpExchange exchange) throws IOException {
    String authorization = exchange.getRequestHeaders().getFirst("Authorization");
    String body = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
    URI uri = exchange.getRequestURI();
    String path = uri.getRawPath().substring(1);
    Map<String, String> query = form(uri.getRawQuery());
    if (path.equals("v1/oauth/tokens")) {
      ObjectNode token = tokens.exchange(form(body), authorization);
      return new Answer(token.has("error") ? 401 : 200, token);
    }
    if (!tokens.allows(authorization)) {
      return error(401, "NotAuthorizedException", "a good bearer token is needed");
    }
    if (path.equals("v1/config")) {
      return config(exchange, query);
    }
    if (prefix != null) {
      String under = "v1/" + prefix + "/";
      if (!path.startsWith(under)) {
        return error(404, "NotFoundException", "this catalog is under /" + under + " (see /v1/config), not at /" + path);
      }
      path = "v1/" + path.substring(under.length());
    }
    HTTPMethod method = HTTPMethod.valueOf(exchange.getRequestMethod().toUpperCase(Locale.ROOT));
    return delegate(exchange, method, path, query, body);
  }

  private Answer config(HttpExchange exchange, Map<String, String> query) throws IOException {
    String warehouse = query.get("warehouse");
    if (name != null && !name.equals(warehouse)) {
      return error(404, "NotFoundException", "there is no warehouse " + warehouse);
    }
    Answer answer = delegate(exchange, HTTPMethod.GET, "v1/config", query, "");
    if (prefix != null) {
      ((ObjectNode) answer.body()).withObject("/overrides").put("prefix", prefix);
    }
    return answer;
  }

  private Answer delegate(HttpExchange exchange, HTTPMethod method, String path, Map<String, String> query, String body)
      throws IOException {
    Pair<Route, Map<String, String>> route = Route.from(method, path);
    if (route == null) {
      return error(400, "BadRequestException", "no route for " + method + " /" + path);
    }
    Object parsed = null;
    if (route.first().requestClass() != null) {
      try {
        parsed = JSON.readValue(body, route.first().requestClass());
      } catch (IOException | RuntimeException e) {
        return error(400, "BadRequestException", "the body of " + method + " /" + path + " can't be read: " + e.getMessage());
      }
    }
    Map<String, String> headers = new HashMap<>();
    exchange.getRequestHeaders().forEach((key, values) -> headers.put(key, values.get(0)));
    AtomicReference<ErrorResponse> refused = new AtomicReference<>();
    RESTResponse response;
    try {
      response =
          adapter.execute(
              adapter.buildRequest(method, path, query, headers, parsed),
              route.first().responseClass(),
              refused::set,
              answered -> answered.forEach(exchange.getResponseHeaders()::set));
    } catch (RuntimeException e) {
      // The adapter throws after it has told the error.
      if (refused.get() == null) {
        throw e;
      }
      response = null;
    }
    if (refused.get() != null) {
      return new Answer(refused.get().code(), JSON.valueToTree(refused.get()));
    }
    if (response == null) {
      // A table that is loaded and not sent is one that the client has already (If-None-Match).
      return new Answer(route.first() == Route.LOAD_TABLE ? 304 : 200, null);
    }
    ObjectNode answer = JSON.valueToTree(response);
    boolean isTable = route.first() == Route.LOAD_TABLE || route.first() == Route.CREATE_TABLE || route.first() == Route.REGISTER_TABLE;
    String delegation = exchange.getRequestHeaders().getFirst("X-Iceberg-Access-Delegation");
    if (vend != null && isTable && delegation != null && delegation.contains("vended-credentials")) {
      addCredentials(answer);
    }
    return new Answer(200, answer);
  }

  private void addCredentials(ObjectNode table) {
    ObjectNode config = table.withObject("/config");
    if (vend.equals("storage-credentials")) {
      // Where the store is, without the keys.
      vended.properties().stream().filter(p -> !p.getKey().contains("access-key")).forEach(p -> config.set(p.getKey(), p.getValue()));
    } else {
      config.setAll(vended);
    }
    if (!vend.equals("config")) {
      ObjectNode credential = JsonNodeFactory.instance.objectNode().put("prefix", vendFor);
      credential.putObject("config").setAll(vended);
      table.putArray("storage-credentials").add(credential);
    }
  }

  private static Map<String, String> form(String encoded) {
    Map<String, String> fields = new HashMap<>();
    if (encoded == null || encoded.isEmpty()) {
      return fields;
    }
    for (String field : encoded.split("&")) {
      String[] pair = field.split("=", 2);
      fields.put(decode(pair[0]), pair.length == 2 ? decode(pair[1]) : "");
    }
    return fields;
  }

  private static String decode(String text) {
    return URLDecoder.decode(text, StandardCharsets.UTF_8);
  }
}
