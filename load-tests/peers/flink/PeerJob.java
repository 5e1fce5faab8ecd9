import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import org.apache.flink.api.common.JobStatus;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.table.api.StatementSet;
import org.apache.flink.table.api.TableResult;
import org.apache.flink.table.api.bridge.java.StreamTableEnvironment;
import org.apache.iceberg.PartitionSpec;
import org.apache.iceberg.Schema;
import org.apache.iceberg.catalog.Namespace;
import org.apache.iceberg.catalog.TableIdentifier;
import org.apache.iceberg.jdbc.JdbcCatalog;
import org.apache.iceberg.types.Types;

/**
 * The work in Flink SQL: a topic of events into bronze and 1-minute gold, one job on a MiniCluster in this process.
 *
 * <p>Run by engines.py with KEY=VALUE for each of brokers, topic, out, runs, cores, interval_s, watermark_s, live. Marks on
 * standard output (see process_tree.py): {@code ready}, {@code begin} and {@code end} of each drain.
 */
public final class PeerJob {
    private static final Map<String, String> TABLE_PROPERTIES =
            Map.of(
                    "format-version", "2",
                    "write.parquet.compression-codec", "zstd",
                    "write.parquet.compression-level", "1");

    private static final Schema BRONZE =
            new Schema(
                    Types.NestedField.optional(1, "event_id", Types.StringType.get()),
                    Types.NestedField.optional(2, "event_timestamp", Types.TimestampType.withZone()),
                    Types.NestedField.optional(3, "video_id", Types.StringType.get()),
                    Types.NestedField.optional(4, "user_id", Types.StringType.get()),
                    Types.NestedField.optional(5, "event_type", Types.StringType.get()),
                    Types.NestedField.optional(6, "schema_version", Types.StringType.get()),
                    Types.NestedField.optional(7, "payload_json", Types.StringType.get()),
                    Types.NestedField.optional(8, "header_extra_json", Types.StringType.get()),
                    Types.NestedField.optional(9, "source_topic", Types.StringType.get()),
                    Types.NestedField.optional(10, "source_partition", Types.IntegerType.get()),
                    Types.NestedField.optional(11, "source_offset", Types.LongType.get()),
                    Types.NestedField.optional(12, "ingested_at", Types.TimestampType.withZone()));

    private static final Schema GOLD =
            new Schema(
                    Types.NestedField.optional(1, "video_id", Types.StringType.get()),
                    Types.NestedField.optional(2, "window_start", Types.TimestampType.withZone()),
                    Types.NestedField.optional(3, "window_end", Types.TimestampType.withZone()),
                    Types.NestedField.optional(4, "impressions", Types.LongType.get()),
                    Types.NestedField.optional(5, "play_start", Types.LongType.get()),
                    Types.NestedField.optional(6, "play_finish", Types.LongType.get()),
                    Types.NestedField.optional(7, "likes", Types.LongType.get()),
                    Types.NestedField.optional(8, "shares", Types.LongType.get()),
                    Types.NestedField.optional(9, "skips", Types.LongType.get()),
                    Types.NestedField.optional(10, "watch_time_sum_ms", Types.LongType.get()),
                    Types.NestedField.optional(11, "processed_at", Types.TimestampType.withZone()));

    private final Map<String, String> options;

    private PeerJob(Map<String, String> options) {
        this.options = options;
    }

    public static void main(String[] arguments) {
        Map<String, String> options = new HashMap<>();
        for (String argument : arguments) {
            String[] parts = argument.split("=", 2);
            options.put(parts[0], parts[1]);
        }
        int exitCode = 0;
        try {
            new PeerJob(options).run();
        } catch (Exception error) {
            error.printStackTrace();
            exitCode = 1;
        }
        // Threads of the MiniCluster and of the SQLite driver would keep the process alive.
        System.exit(exitCode);
    }

    private void run() throws Exception {
        if (isLive()) {
            runLive();
        } else {
            drain(Integer.parseInt(options.get("runs")));
        }
    }

    private boolean isLive() {
        return Boolean.parseBoolean(options.get("live"));
    }

    private void drain(int runs) throws Exception {
        mark("ready");
        for (int run = 1; run <= runs; run++) {
            mark("begin " + run);
            start(run).await();
            mark("end " + run);
        }
    }

    private void runLive() throws Exception {
        TableResult result = start(1);
        JobClient job = result.getJobClient().orElseThrow();
        while (job.getJobStatus().get() != JobStatus.RUNNING) {
            Thread.sleep(50);
        }
        mark("ready");
        result.await();
    }

    /** Makes the tables of one run and starts what fills them. */
    private TableResult start(int run) throws Exception {
        Path home = Path.of(options.get("out"), "run-" + run);
        Files.createDirectories(home);
        String catalogUri = "jdbc:sqlite:" + home + "/catalog.db?journal_mode=WAL&busy_timeout=30000";
        String warehouse = "file://" + home + "/warehouse";
        createTables(catalogUri, warehouse);

        StreamTableEnvironment tables = environment(home);
        tables.executeSql(LAKE.replace("{uri}", catalogUri).replace("{warehouse}", warehouse));
        tables.executeSql(sourceTable());
        StatementSet statements = tables.createStatementSet();
        statements.addInsertSql(BRONZE_ROWS.replace("{topic}", options.get("topic")));
        statements.addInsertSql(GOLD_ROWS);
        return statements.execute();
    }

    /** By Iceberg's own interface: Flink's SQL has no partitions by hour or bucket. */
    private static void createTables(String catalogUri, String warehouse) throws Exception {
        try (JdbcCatalog catalog = new JdbcCatalog()) {
            catalog.setConf(new org.apache.hadoop.conf.Configuration());
            Map<String, String> properties = new HashMap<>();
            properties.put("uri", catalogUri);
            properties.put("warehouse", warehouse);
            properties.put("jdbc.schema-version", "V1");
            properties.put("clients", "1");
            catalog.initialize("lake", properties);
            catalog.createNamespace(Namespace.of("bronze"));
            catalog.createNamespace(Namespace.of("gold"));
            catalog.createTable(
                    TableIdentifier.of("bronze", "raw_events"),
                    BRONZE,
                    PartitionSpec.builderFor(BRONZE).hour("event_timestamp").build(),
                    TABLE_PROPERTIES);
            catalog.createTable(
                    TableIdentifier.of("gold", "rt_video_stats_1min"),
                    GOLD,
                    PartitionSpec.builderFor(GOLD).day("window_start").bucket("video_id", 16).build(),
                    TABLE_PROPERTIES);
        }
    }

    private StreamTableEnvironment environment(Path home) {
        int cores = Integer.parseInt(options.get("cores"));
        Configuration settings = new Configuration();
        if (isLive()) {
            settings.setString("execution.checkpointing.interval", options.get("interval_s") + " s");
            settings.setString("execution.checkpointing.storage", "filesystem");
            settings.setString("execution.checkpointing.dir", "file://" + home + "/checkpoints");
        }
        // A drain makes no checkpoints and one commit per table at its end. With checkpoints, rows of source tasks that end
        // earlier than others were missing from the tables (Iceberg 1.11.0 on Flink 2.0.1, either of its sinks).
        settings.setString("state.backend.type", "hashmap");
        settings.setString("pipeline.object-reuse", "true");
        settings.setString("parallelism.default", String.valueOf(cores));
        settings.setString("taskmanager.numberOfTaskSlots", String.valueOf(cores));
        settings.setString("rest.address", "127.0.0.1");
        settings.setString("rest.bind-address", "127.0.0.1");
        settings.setString("rest.bind-port", "0");
        settings.setString("table.local-time-zone", "UTC");
        return StreamTableEnvironment.create(
                StreamExecutionEnvironment.createLocalEnvironment(cores, settings));
    }

    private String sourceTable() {
        return EVENTS.replace("{watermark_s}", options.get("watermark_s"))
                .replace("{topic}", options.get("topic"))
                .replace("{brokers}", options.get("brokers"))
                .replace("{end}", isLive() ? "" : "'scan.bounded.mode' = 'latest-offset',");
    }

    private static final String LAKE =
            """
            CREATE CATALOG lake WITH (
                'type' = 'iceberg', 'catalog-impl' = 'org.apache.iceberg.jdbc.JdbcCatalog', 'uri' = '{uri}',
                'warehouse' = '{warehouse}', 'jdbc.schema-version' = 'V1', 'clients' = '1', 'cache-enabled' = 'false'
            )
            """;

    private static final String EVENTS =
            """
            CREATE TEMPORARY TABLE events (
                event_id STRING, event_timestamp TIMESTAMP_LTZ(3), video_id STRING, user_id STRING, event_type STRING,
                schema_version STRING, payload STRING,
                source_partition INT METADATA FROM 'partition' VIRTUAL,
                source_offset BIGINT METADATA FROM 'offset' VIRTUAL,
                WATERMARK FOR event_timestamp AS event_timestamp - INTERVAL '{watermark_s}' SECOND
            ) WITH (
                'connector' = 'kafka', 'topic' = '{topic}', 'properties.bootstrap.servers' = '{brokers}',
                'properties.group.id' = 'pulselake-peers-flink', 'scan.startup.mode' = 'earliest-offset', {end}
                'format' = 'json', 'json.timestamp-format.standard' = 'ISO-8601'
            )
            """;

    private static final String BRONZE_ROWS =
            """
            INSERT INTO lake.bronze.raw_events
            SELECT event_id, CAST(event_timestamp AS TIMESTAMP_LTZ(6)), video_id, user_id, event_type, schema_version, payload,
                CAST(NULL AS STRING), '{topic}', source_partition, source_offset, CAST(CURRENT_TIMESTAMP AS TIMESTAMP_LTZ(6))
            FROM events
            """;

    // Each event id once in its window (Flink's "window deduplication", whose state ends with the window): a repeated event has
    // the time of the first.
    private static final String GOLD_ROWS =
            """
            INSERT INTO lake.gold.rt_video_stats_1min
            SELECT video_id, CAST(window_start AS TIMESTAMP_LTZ(6)), CAST(window_end AS TIMESTAMP_LTZ(6)),
                COUNT(CASE WHEN event_type = 'impression' THEN 1 END),
                COUNT(CASE WHEN event_type = 'play_start' THEN 1 END),
                COUNT(CASE WHEN event_type = 'play_finish' THEN 1 END),
                COUNT(CASE WHEN event_type = 'like' THEN 1 END),
                COUNT(CASE WHEN event_type = 'share' THEN 1 END),
                COUNT(CASE WHEN event_type = 'skip' THEN 1 END),
                COALESCE(SUM(watch_time_ms), 0), CAST(CURRENT_TIMESTAMP AS TIMESTAMP_LTZ(6))
            FROM (
                SELECT window_start, window_end, video_id, event_type, watch_time_ms
                FROM (
                    SELECT window_start, window_end, video_id, event_type,
                        CAST(JSON_VALUE(payload, '$.watch_time_ms' RETURNING INTEGER) AS BIGINT) AS watch_time_ms,
                        ROW_NUMBER() OVER (PARTITION BY window_start, window_end, event_id ORDER BY event_timestamp) AS sighting
                    FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(event_timestamp), INTERVAL '1' MINUTE)))
                WHERE sighting = 1)
            GROUP BY window_start, window_end, video_id
            """;

    /** Tells the comparison how far it is. */
    private static void mark(String name) {
        System.out.println("PEER {\"mark\": \"" + name + "\"}");
        System.out.flush();
    }
}
