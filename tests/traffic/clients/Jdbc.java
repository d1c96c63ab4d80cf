// The JDBC driver's own questions (DatabaseMetaData, what every Java tool asks through it) and the statements of an application
// that uses it by hand.

import java.math.BigDecimal;
import java.sql.*;
import java.util.Properties;

public class Jdbc {
    static void drain(ResultSet rows) throws SQLException {
        while (rows.next()) rows.getObject(1);
        rows.close();
    }

    static void ask(DatabaseMetaData meta) throws SQLException {
        drain(meta.getSchemas());
        drain(meta.getCatalogs());
        drain(meta.getTableTypes());
        drain(meta.getTables(null, "public", "%", new String[] {"TABLE", "VIEW"}));
        drain(meta.getTables(null, null, "item%", null));
        drain(meta.getColumns(null, "public", "%", "%"));
        drain(meta.getPrimaryKeys(null, "public", "item"));
        drain(meta.getImportedKeys(null, "public", "sale"));
        drain(meta.getExportedKeys(null, "public", "item"));
        drain(meta.getCrossReference(null, "public", "item", null, "public", "sale"));
        drain(meta.getIndexInfo(null, "public", "item", false, true));
        drain(meta.getProcedures(null, "public", "%"));
        drain(meta.getFunctions(null, "public", "%"));
        drain(meta.getFunctionColumns(null, "public", "%", "%"));
        drain(meta.getProcedureColumns(null, "public", "%", "%"));
        drain(meta.getTypeInfo());
        drain(meta.getUDTs(null, "public", "%", null));
        drain(meta.getTablePrivileges(null, "public", "item"));
        drain(meta.getColumnPrivileges(null, "public", "item", "%"));
        drain(meta.getBestRowIdentifier(null, "public", "item", DatabaseMetaData.bestRowSession, true));
        drain(meta.getVersionColumns(null, "public", "item"));
        drain(meta.getClientInfoProperties());
        meta.getSQLKeywords();
        meta.getNumericFunctions();
        meta.getUserName();
        meta.getDatabaseProductVersion();
    }

    public static void main(String[] arguments) throws Exception {
        Properties properties = new Properties();
        properties.setProperty("user", System.getenv("PGUSER"));
        properties.setProperty("prepareThreshold", "2");
        properties.setProperty("ApplicationName", "jdbc");
        String url = "jdbc:postgresql://127.0.0.1:" + System.getenv("PGPORT") + "/" + System.getenv("PGDATABASE");
        try (Connection connection = DriverManager.getConnection(url, properties)) {
            try (Statement statement = connection.createStatement()) {
                statement.execute("CREATE TABLE item (id serial PRIMARY KEY, name text NOT NULL UNIQUE, price numeric(10, 2), secret text)");
                statement.execute("CREATE TABLE sale (id bigserial PRIMARY KEY, item_id integer NOT NULL REFERENCES item (id), sold timestamptz DEFAULT now())");
                statement.execute("CREATE INDEX sale_sold ON sale (sold)");
                statement.execute("CREATE VIEW item_names AS SELECT id, name FROM item");
            }
            connection.setAutoCommit(false);
            String insert = "INSERT INTO item (name, price, secret) VALUES (?, ?, ?)";
            try (PreparedStatement prepared = connection.prepareStatement(insert, Statement.RETURN_GENERATED_KEYS)) {
                for (int number = 0; number < 4; number++) {
                    prepared.setString(1, "item " + number);
                    prepared.setBigDecimal(2, new BigDecimal(number));
                    prepared.setString(3, "s");
                    prepared.addBatch();
                }
                prepared.executeBatch();
                drain(prepared.getGeneratedKeys());
            }
            connection.commit();
            try (PreparedStatement prepared = connection.prepareStatement("SELECT i.id, i.name, i.secret, i.price FROM item i WHERE i.price > ? ORDER BY i.id LIMIT ?")) {
                prepared.setFetchSize(2);
                for (int time = 0; time < 3; time++) {
                    prepared.setBigDecimal(1, new BigDecimal(0));
                    prepared.setInt(2, 3);
                    ResultSet rows = prepared.executeQuery();
                    rows.getMetaData().getTableName(1);
                    rows.getMetaData().isAutoIncrement(1);
                    rows.getMetaData().isNullable(1);
                    drain(rows);
                }
            }
            try (PreparedStatement prepared = connection.prepareStatement("SELECT id, name FROM item WHERE name = ? FOR UPDATE", ResultSet.TYPE_SCROLL_SENSITIVE, ResultSet.CONCUR_UPDATABLE)) {
                prepared.setString(1, "item 1");
                ResultSet rows = prepared.executeQuery();
                if (rows.next()) {
                    rows.updateString("name", "renamed");
                    rows.updateRow();
                }
            }
            Savepoint savepoint = connection.setSavepoint("s1");
            try (PreparedStatement prepared = connection.prepareStatement("UPDATE item SET price = price + ? WHERE id = ?")) {
                prepared.setBigDecimal(1, BigDecimal.ONE);
                prepared.setInt(2, 1);
                prepared.executeUpdate();
            }
            connection.rollback(savepoint);
            try (Statement statement = connection.createStatement()) {
                drain(statement.executeQuery("SELECT {fn ucase(name)}, {fn now()} FROM item"));
                statement.executeUpdate("DELETE FROM sale WHERE item_id IN (SELECT id FROM item WHERE price < 0)");
            }
            connection.commit();
            connection.setReadOnly(false);
            connection.setTransactionIsolation(Connection.TRANSACTION_REPEATABLE_READ);
            connection.setSchema("public");
            connection.getSchema();
            connection.setClientInfo("ApplicationName", "other");
            ask(connection.getMetaData());
            connection.commit();
            connection.setAutoCommit(true);
            connection.isValid(1);
        }
    }
}
