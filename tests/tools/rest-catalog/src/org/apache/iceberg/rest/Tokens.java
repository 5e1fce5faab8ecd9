package org.apache.iceberg.rest;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.Base64;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Who may speak to the catalog: holders of a fixed bearer token, and clients that exchanged their credential for one (OAuth2
 * client_credentials, or token-exchange with a token that is still good). Without a credential and a fixed token everybody may.
 */
final class Tokens {
  private final String credential;
  private final String fixedToken;
  private final Duration lifetime;
  private final Map<String, Instant> goodUntil = new ConcurrentHashMap<>();

  /** credential: client_id:client_secret, or null; fixedToken: or null. */
  Tokens(String credential, String fixedToken, Duration lifetime) {
    this.credential = credential;
    this.fixedToken = fixedToken;
    this.lifetime = lifetime;
  }

  boolean allows(String authorization) {
    if (credential == null && fixedToken == null) {
      return true;
    }
    return authorization != null && authorization.startsWith("Bearer ") && isGood(authorization.substring("Bearer ".length()));
  }

  private boolean isGood(String token) {
    return token.equals(fixedToken) || goodUntil.getOrDefault(token, Instant.MIN).isAfter(Instant.now());
  }

  /** The answer to a request for a token; the error an OAuth2 server gives (with a field "error") when it is refused. */
  ObjectNode exchange(Map<String, String> form, String authorization) {
    String grant = form.getOrDefault("grant_type", "");
    switch (grant) {
      case "client_credentials":
        String given = form.containsKey("client_id") ? form.get("client_id") + ":" + form.get("client_secret") : basic(authorization);
        return given.equals(credential) ? newToken() : error("invalid_client", "the client's id or secret is wrong");
      case "urn:ietf:params:oauth:grant-type:token-exchange":
        return isGood(form.getOrDefault("subject_token", "")) ? newToken() : error("invalid_grant", "the token is not good any more");
      default:
        return error("unsupported_grant_type", "grant_type " + grant + " is not supported");
    }
  }

  private static String basic(String authorization) {
    if (authorization == null || !authorization.startsWith("Basic ")) {
      return "";
    }
    return new String(Base64.getDecoder().decode(authorization.substring("Basic ".length())), StandardCharsets.UTF_8);
  }

  private ObjectNode newToken() {
    String token = UUID.randomUUID().toString();
    goodUntil.put(token, Instant.now().plus(lifetime));
    return JsonNodeFactory.instance.objectNode()
        .put("access_token", token)
        .put("token_type", "bearer")
        .put("issued_token_type", "urn:ietf:params:oauth:token-type:access_token")
        .put("expires_in", lifetime.toSeconds());
  }

  private static ObjectNode error(String name, String message) {
    return JsonNodeFactory.instance.objectNode().put("error", name).put("error_description", message);
  }
}
