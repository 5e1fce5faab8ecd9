"""Compares what a running engine answers with what its /openapi.json says.

    check_answers.py HOST:PORT ACTION_TOKEN

Each answer is validated by `jsonschema`, and, stricter than that, may have no field that the schema does not name and must have every
one that it does. Says what was checked, one line each; exits with 1 at the first difference.
"""

import json
import sys
import urllib.error
import urllib.parse
import urllib.request

import jsonschema

NIL = "00000000-0000-0000-0000-000000000000"
# Fields that an answer leaves out on purpose.
OPTIONAL = {("ErrorDetail", "state")}


class Engine:
    def __init__(self, address, token):
        self.base, self.token = f"http://{address}", token
        self.description = self.ask("GET", "/openapi.json")[1]

    def ask(self, method, path, token="", body=None):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(self.base + path, data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def check(self, what, value, schema):
        """`schema` is a part of the description."""
        whole = {**schema, "components": self.description["components"]}
        jsonschema.Draft202012Validator(whole).validate(value)
        self.check_fields(what, value, schema, "")
        print(f"{what}: as described")

    def check_fields(self, what, value, schema, name):
        schema, name = self.resolved(schema, name)
        if isinstance(value, list):
            for item in value:
                self.check_fields(what, item, schema.get("items", {}), name)
        if not isinstance(value, dict):
            return
        properties = self.properties(schema)
        if not properties:
            return
        unknown = value.keys() - properties.keys()
        missing = {field for field in properties.keys() - value.keys() if (name, field) not in OPTIONAL}
        if unknown or missing:
            sys.exit(f"{what}: {name or 'an object'} has {sorted(unknown)}, which is not described, and lacks {sorted(missing)}")
        for field, item in value.items():
            self.check_fields(f"{what}.{field}", item, properties[field], "")

    def resolved(self, schema, name):
        """Without references, and without the null of what may be null."""
        while True:
            if "$ref" in schema:
                name = schema["$ref"].rsplit("/", 1)[1]
                schema = self.description["components"]["schemas"][name]
            elif "oneOf" in schema:
                others = [part for part in schema["oneOf"] if part.get("type") != "null"]
                if len(others) != 1:
                    return schema, name
                schema = others[0]
            else:
                return schema, name

    def properties(self, schema):
        """The properties, those of all parts of an `allOf` together."""
        found = dict(schema.get("properties", {}))
        for part in schema.get("allOf", []):
            found.update(self.properties(self.resolved(part, "")[0]))
        return found

    def schema_of(self, method, path, status):
        responses = self.description["paths"][path][method.lower()]["responses"]
        content = responses[str(status)]["content"]
        return content["application/json"]["schema"]


def check_reading(engine):
    video = engine.ask("GET", "/api/v1/trending?limit=1")[1]["videos"][0]["video_id"]
    for path, parameters in [
        ("/api/v1/trending", ""),
        ("/api/v1/trending", "?order=surprise&limit=500"),
        ("/api/v1/board", ""),
        ("/api/v1/pulse", ""),
        ("/api/v1/decisions", "?limit=500"),
        ("/api/v1/health", ""),
        ("/api/v1/engine", ""),
        ("/api/v1/quarantine", "?limit=5"),
        ("/healthz", ""),
        ("/readyz", ""),
    ]:
        status, answer = engine.ask("GET", path + parameters)
        engine.check(f"GET {path}{parameters}", answer, engine.schema_of("GET", path, status))
    status, answer = engine.ask("GET", "/api/v1/videos/" + urllib.parse.quote(video, safe=""))
    engine.check(f"GET /api/v1/videos/{video}", answer, engine.schema_of("GET", "/api/v1/videos/{video_id}", status))


def check_errors(engine):
    ack = "/api/v1/decisions/{action_id}/ack"
    for method, path, template, token, body, expected in [
        ("GET", "/api/v1/trending?limit=0", "/api/v1/trending", "", None, 400),
        ("GET", "/api/v1/videos/nobody-knows-it", "/api/v1/videos/{video_id}", "", None, 404),
        ("GET", "/api/v1/decisions?state=GONE", "/api/v1/decisions", "", None, 400),
        ("POST", ack.replace("{action_id}", NIL), ack, "", None, 401),
        ("POST", ack.replace("{action_id}", NIL), ack, engine.token, None, 404),
        ("POST", "/api/v1/sql", "/api/v1/sql", "", {"statement": "SELECT 1"}, 400),
    ]:
        status, answer = engine.ask(method, path, token, body)
        if status != expected:
            sys.exit(f"{method} {path}: {status} {answer}, {expected} was expected")
        engine.check(f"{method} {path} ({status})", answer, engine.schema_of(method, template, status))


def check_events(engine):
    """Until each kind of event that comes by itself has been seen."""
    schemas = {"pulse": "Pulse", "trending": "Trending", "health": "HealthAnswer", "decision": "ActionAnswer"}
    waited_for = {"pulse", "trending", "health"}
    with urllib.request.urlopen(engine.base + "/api/v1/events", timeout=30) as stream:
        name = None
        while waited_for:
            line = stream.readline().decode().rstrip("\n")
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                engine.check(f"event {name}", json.loads(line.removeprefix("data: ")), {"$ref": f"#/components/schemas/{schemas[name]}"})
                waited_for.discard(name)


def main():
    address, token = sys.argv[1:]
    engine = Engine(address, token)
    if not engine.description["openapi"].startswith("3.1."):
        sys.exit(f"the description is of OpenAPI {engine.description['openapi']}")
    check_reading(engine)
    check_errors(engine)
    check_events(engine)


if __name__ == "__main__":
    main()
