// PostgreSQL's JDBC driver as programs use it. Prints what the server says.
// The connection is told by libpq's environment variables.

import java.io.ByteArrayOutputStream;
import java.io.StringReader;
import java.math.BigDecimal;
import java.sql.*;
import java.util.*;
import java.util.concurrent.TimeUnit;

import org.postgresql.PGConnection;
import org.postgresql.PGNotification;
import org.postgresql.PGProperty;
import org.postgresql.PGStatement;
import org.postgresql.copy.CopyManager;
import org.postgresql.largeobject.LargeObject;
import org.postgresql.largeobject.LargeObjectManager;
import org.postgresql.util.PSQLException;
import org.postgresql.util.ServerErrorMessage;

public class JdbcClient {
  interface Part {
    void run() throws Exception;
  }

  static void show(String name, Object value) {
    System.out.println(name + ": " + value);
  }

  static void error(String name, Part part) throws Exception {
    try {
      part.run();
      show(name, "no error");
    } catch (BatchUpdateException failure) {
      show(name, Arrays.toString(failure.getUpdateCounts()) + " " + failure.getSQLState());
    } catch (PSQLException failure) {
      ServerErrorMessage said = failure.getServerErrorMessage();
      show(name, said == null
          ? failure.getSQLState() + " " + failure.getMessage()
          : Arrays.asList(said.getSeverity(), said.getSQLState(), said.getMessage(), said.getDetail(), said.getHint(), said.getPosition(),
              said.getWhere(), said.getSchema(), said.getTable(), said.getColumn(), said.getConstraint(), said.getRoutine()));
    }
  }

  static String rows(ResultSet found) throws SQLException {
    StringBuilder text = new StringBuilder();
    int columns = found.getMetaData().getColumnCount();
    while (found.next()) {
      for (int column = 1; column <= columns; column++) {
        boolean isBytes = found.getMetaData().getColumnType(column) == Types.BINARY;
        text.append(isBytes ? Arrays.toString(found.getBytes(column)) : found.getString(column)).append(column == columns ? ";" : ",");
      }
    }
    return text.toString();
  }

  static Connection connect(String... more) throws SQLException {
    Properties properties = new Properties();
    properties.setProperty("user", System.getenv("PGUSER"));
    properties.setProperty("password", System.getenv("PGPASSWORD"));
    properties.setProperty("sslmode", "disable");
    for (int at = 0; at + 1 < more.length; at += 2) {
      properties.setProperty(more[at], more[at + 1]);
    }
    return DriverManager.getConnection(
        "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/" + System.getenv("PGDATABASE"), properties);
  }

  static void tables(Connection connection) throws Exception {
    try (Statement statement = connection.createStatement()) {
      statement.execute("DROP TABLE IF EXISTS things CASCADE");
      statement.execute("CREATE TABLE things (id serial PRIMARY KEY, name text NOT NULL, price numeric(10,2), made timestamptz, blob bytea, tags text[])");
      show("inserted", statement.executeUpdate("INSERT INTO things (name, price) SELECT 'thing ' || n, n * 1.5 FROM generate_series(1, 1000) n"));
      boolean isResult = statement.execute("SELECT 1; UPDATE things SET price = 1 WHERE id <= 3; SELECT 2, 3");
      while (isResult || statement.getUpdateCount() != -1) {
        show("of several", isResult ? rows(statement.getResultSet()) : statement.getUpdateCount());
        isResult = statement.getMoreResults();
      }
    }
    try (PreparedStatement insert = connection.prepareStatement("INSERT INTO things (name) VALUES (?)", Statement.RETURN_GENERATED_KEYS)) {
      insert.setString(1, "with a key");
      insert.executeUpdate();
      show("generated", rows(insert.getGeneratedKeys()));
    }
  }

  static void values(Connection connection) throws Exception {
    try (PreparedStatement select = connection.prepareStatement("SELECT ?::bool, ?::int, ?::int8, ?::float8, ?::numeric, ?::text, ?::bytea, ?::date, ?::timestamp, ?::uuid, ?::int[], ?::jsonb, ?::text")) {
      // From the fifth execution on the driver uses a named statement and binary results.
      for (int round = 0; round < 7; round++) {
        select.setBoolean(1, true);
        select.setInt(2, round);
        select.setLong(3, 1L << 40);
        select.setDouble(4, 1.5);
        select.setBigDecimal(5, new BigDecimal("123.4500"));
        select.setString(6, "text 'x' é");
        select.setBytes(7, new byte[] {0, 1, -1});
        select.setDate(8, java.sql.Date.valueOf("2026-02-28"));
        select.setTimestamp(9, Timestamp.valueOf("2026-02-28 01:02:03.004"));
        select.setObject(10, new UUID(0, 9));
        select.setArray(11, connection.createArrayOf("int4", new Object[] {1, null, 3}));
        select.setString(12, "{\"a\": [1, null]}");
        select.setNull(13, Types.VARCHAR);
        show("values", rows(select.executeQuery()));
      }
      ResultSetMetaData described = select.getMetaData();
      StringBuilder types = new StringBuilder();
      for (int column = 1; column <= described.getColumnCount(); column++) {
        types.append(described.getColumnTypeName(column)).append(' ');
      }
      show("types", types);
    }
    try (PreparedStatement select = connection.prepareStatement("SELECT id, name FROM things WHERE id = ?")) {
      select.unwrap(PGStatement.class).setPrepareThreshold(1);
      for (int id = 1; id < 4; id++) {
        select.setInt(1, id);
        show("prepared", rows(select.executeQuery()));
      }
      try (Statement change = connection.createStatement()) {
        change.execute("ALTER TABLE things ADD COLUMN more int");
      }
      show("after a change", rows(select.executeQuery()));
    }
  }

  static void batches(Connection connection) throws Exception {
    try (PreparedStatement insert = connection.prepareStatement("INSERT INTO things (name, price) VALUES (?, ?)")) {
      for (int number = 0; number < 300; number++) {
        insert.setString(1, "batch " + number);
        insert.setBigDecimal(2, BigDecimal.valueOf(number, 2));
        insert.addBatch();
      }
      show("batch", Arrays.stream(insert.executeBatch()).sum());
    }
    error("failing batch", () -> {
      try (Statement batch = connection.createStatement()) {
        batch.addBatch("INSERT INTO things (name) VALUES ('a')");
        batch.addBatch("INSERT INTO things (name) VALUES (NULL)");
        batch.addBatch("INSERT INTO things (name) VALUES ('c')");
        batch.executeBatch();
      }
    });
  }

  static void transactions(Connection connection) throws Exception {
    connection.setAutoCommit(false);
    try (Statement statement = connection.createStatement()) {
      statement.execute("INSERT INTO things (id, name) VALUES (50000, 'x')");
      Savepoint savepoint = connection.setSavepoint("s");
      error("fails", () -> statement.execute("INSERT INTO things (id, name) VALUES (50000, 'again')"));
      error("aborted", () -> statement.execute("SELECT 1"));
      connection.rollback(savepoint);
      show("back", rows(statement.executeQuery("SELECT count(*) FROM things WHERE id = 50000")));
      connection.rollback();
      statement.setFetchSize(50);
      ResultSet found = statement.executeQuery("SELECT id FROM things ORDER BY id");
      long sum = 0;
      while (found.next()) {
        sum += found.getInt(1);
      }
      show("fetched in parts", sum);
      connection.commit();
      connection.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
      show("isolation", rows(statement.executeQuery("SHOW transaction_isolation")));
      connection.rollback();
    }
    LargeObjectManager objects = connection.unwrap(PGConnection.class).getLargeObjectAPI();
    long oid = objects.createLO();
    try (LargeObject object = objects.open(oid, LargeObjectManager.READWRITE)) {
      object.write("a large object".getBytes());
      object.seek(2);
      show("large object", new String(object.read(5)) + " " + object.size());
    }
    objects.delete(oid);
    connection.commit();
    connection.setAutoCommit(true);
  }

  static void errors(Connection connection) throws Exception {
    try (Statement statement = connection.createStatement()) {
      error("syntax", () -> statement.execute("SELECT 1 FRM things"));
      error("no table", () -> statement.execute("SELECT * FROM nowhere"));
      error("unique", () -> statement.execute("INSERT INTO things (id, name) VALUES (1, 'x')"));
      error("null", () -> statement.execute("INSERT INTO things (name) VALUES (NULL)"));
      error("in several", () -> statement.execute("SELECT 1; SELECT 1 / 0; SELECT 2"));
      statement.setQueryTimeout(1);
      error("timed out", () -> statement.execute("SELECT pg_sleep(30)"));
      statement.setQueryTimeout(0);
      Thread canceller = new Thread(() -> {
        try {
          TimeUnit.MILLISECONDS.sleep(500);
          statement.cancel();
        } catch (Exception failure) {
          show("cancel", failure);
        }
      });
      canceller.start();
      error("cancelled", () -> statement.execute("SELECT pg_sleep(30)"));
      canceller.join();
      statement.execute("DO $$ BEGIN RAISE NOTICE 'n'; RAISE WARNING 'w'; END $$");
      for (SQLWarning warning = statement.getWarnings(); warning != null; warning = warning.getNextWarning()) {
        show("warning", warning.getSQLState() + " " + warning.getMessage());
      }
    }
    error("parameter", () -> {
      try (PreparedStatement select = connection.prepareStatement("SELECT ?::int")) {
        select.setString(1, "no number");
        select.executeQuery();
      }
    });
  }

  static void copies(Connection connection) throws Exception {
    CopyManager copies = connection.unwrap(PGConnection.class).getCopyAPI();
    StringBuilder data = new StringBuilder();
    for (int number = 0; number < 400; number++) {
      data.append(60000 + number).append("\tcopied ").append(number).append('\n');
    }
    show("copied in", copies.copyIn("COPY things (id, name) FROM STDIN", new StringReader(data.toString())));
    for (String format : List.of("text", "csv", "binary")) {
      ByteArrayOutputStream out = new ByteArrayOutputStream();
      long rows = copies.copyOut("COPY (SELECT id, name, price FROM things ORDER BY id) TO STDOUT (FORMAT " + format + ")", out);
      show("copied out, " + format, rows + " " + out.size() + " " + Arrays.hashCode(out.toByteArray()));
    }
    error("bad copy", () -> copies.copyIn("COPY things (id, name) FROM STDIN", new StringReader("1\tagain\n")));
  }

  static void catalogs(Connection connection) throws Exception {
    DatabaseMetaData about = connection.getMetaData();
    show("product", about.getDatabaseProductName() + " " + about.getDatabaseMajorVersion());
    show("tables", rows(about.getTables(null, "public", "things", null)));
    show("columns", rows(about.getColumns(null, "public", "things", "%")));
    show("keys", rows(about.getPrimaryKeys(null, "public", "things")));
    show("indexes", rows(about.getIndexInfo(null, "public", "things", true, false)));
    show("types", rows(about.getTypeInfo()).length() > 1000);
  }

  static void notifies(Connection connection) throws Exception {
    try (Statement statement = connection.createStatement(); Connection other = connect(); PreparedStatement notify = other.prepareStatement("SELECT pg_notify('news', ?)")) {
      statement.execute("LISTEN news");
      for (int number = 0; number < 3; number++) {
        notify.setString(1, "number " + number);
        notify.execute();
      }
      List<String> heard = new ArrayList<>();
      while (heard.size() < 3) {
        PGNotification[] notes = connection.unwrap(PGConnection.class).getNotifications(10_000);
        for (PGNotification note : notes) {
          heard.add(note.getName() + " " + note.getParameter());
        }
      }
      show("heard", heard);
    }
  }

  public static void main(String[] arguments) throws Exception {
    for (String mode : List.of("extended", "extendedForPrepared", "extendedCacheEverything")) {
      show("mode", mode);
      try (Connection connection = connect(PGProperty.PREFER_QUERY_MODE.getName(), mode, "ApplicationName", "jdbc")) {
        tables(connection);
        values(connection);
        batches(connection);
        transactions(connection);
        errors(connection);
        copies(connection);
        catalogs(connection);
        notifies(connection);
        try (Statement statement = connection.createStatement()) {
          statement.execute("DROP TABLE things");
        }
      }
    }
  }
}
