# Superset with the drivers of its own database (PostgreSQL) and of Trino, which its image has not.

FROM apache/superset:6.1.0
# Users by name, as that image has them.
# hadolint ignore=DL3066
USER root
RUN . /app/.venv/bin/activate && uv pip install --no-cache psycopg2-binary==2.9.13 trino==0.340.0
# hadolint ignore=DL3066
USER superset
