#!/bin/sh
# Starts the REST catalog with its two secrets. It takes all of its settings from the environment, CATALOG_… among them; so do the
# secrets get there, and not into the command line, which everybody can list.
set -eu

CATALOG_JDBC_PASSWORD=$(cat /run/secrets/catalog_password)
AWS_SECRET_ACCESS_KEY=$(cat /run/secrets/s3_secret_key)
export CATALOG_JDBC_PASSWORD AWS_SECRET_ACCESS_KEY
exec java -XX:MaxRAMPercentage=60 -cp '/usr/lib/iceberg-rest/*' org.apache.iceberg.rest.RESTCatalogServer
