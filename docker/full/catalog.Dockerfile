# Iceberg's REST catalog, as the Iceberg project publishes it, with PostgreSQL's driver, which it has not.

FROM maven:3.9.11-eclipse-temurin-17 AS driver
RUN mvn --batch-mode --quiet org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy \
    -Dartifact=org.postgresql:postgresql:42.7.7 -DoutputDirectory=/driver

FROM apache/iceberg-rest-fixture:1.11.0
COPY --from=driver --chmod=644 /driver/postgresql-42.7.7.jar /usr/lib/iceberg-rest/
COPY --chmod=755 catalog.sh /usr/local/bin/catalog.sh
CMD ["catalog.sh"]
