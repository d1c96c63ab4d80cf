// Hibernate (3.6, as Debian packages it): schema export and update, sessions, HQL, criteria, associations.

import java.util.*;
import javax.persistence.*;
import org.hibernate.*;
import org.hibernate.cfg.Configuration;
import org.hibernate.criterion.*;

public class Hibernate {
    @javax.persistence.Entity @Table(name = "member", uniqueConstraints = @UniqueConstraint(columnNames = "email"))
    public static class Member {
        @Id @GeneratedValue(strategy = GenerationType.SEQUENCE) public Long id;
        @javax.persistence.Version public int version;
        @Column(nullable = false) public String name;
        public String email;
        public String secret;
        @Temporal(TemporalType.TIMESTAMP) public Date joined = new Date(0);
        @OneToMany(mappedBy = "member", cascade = CascadeType.ALL) public List<Loan> loans = new ArrayList<Loan>();
    }

    @javax.persistence.Entity @Table(name = "loan")
    public static class Loan {
        @Id @GeneratedValue(strategy = GenerationType.IDENTITY) public Long id;
        @ManyToOne(fetch = FetchType.LAZY, optional = false) public Member member;
        public String title;
        public java.math.BigDecimal fine = java.math.BigDecimal.ZERO;
    }

    static SessionFactory factory(String schema) {
        return new Configuration()
            .addAnnotatedClass(Member.class)
            .addAnnotatedClass(Loan.class)
            .setProperty("hibernate.connection.driver_class", "org.postgresql.Driver")
            .setProperty("hibernate.connection.url", "jdbc:postgresql://127.0.0.1:" + System.getenv("PGPORT") + "/" + System.getenv("PGDATABASE"))
            .setProperty("hibernate.connection.username", System.getenv("PGUSER"))
            .setProperty("hibernate.connection.password", "none")
            .setProperty("hibernate.dialect", "org.hibernate.dialect.PostgreSQLDialect")
            .setProperty("hibernate.jdbc.batch_size", "10")
            .setProperty("hibernate.hbm2ddl.auto", schema)
            .buildSessionFactory();
    }

    public static void main(String[] arguments) {
        factory("create").close();
        SessionFactory factory = factory("update");
        Session session = factory.openSession();
        Transaction transaction = session.beginTransaction();
        for (int number = 0; number < 4; number++) {
            Member member = new Member();
            member.name = "m" + number;
            member.email = "m" + number + "@example.org";
            member.secret = "s";
            Loan loan = new Loan();
            loan.title = "book " + number;
            loan.member = member;
            member.loans.add(loan);
            session.save(member);
        }
        transaction.commit();
        session.close();

        session = factory.openSession();
        transaction = session.beginTransaction();
        Member first = (Member) session.createQuery("from Hibernate$Member m where m.name = :name").setString("name", "m1").uniqueResult();
        first.name = "renamed";
        session.flush();
        session.createQuery("select m.name, count(l) from Hibernate$Member m left join m.loans l group by m.name having count(l) > 0 order by m.name").list();
        session.createQuery("select distinct m from Hibernate$Member m left join fetch m.loans").list();
        session.createQuery("from Hibernate$Loan l where l.member.email like :e").setString("e", "m%").setFirstResult(1).setMaxResults(2).list();
        session.createQuery("select upper(m.secret), m.email from Hibernate$Member m where m.id in (:ids)").setParameterList("ids", Arrays.asList(1L, 2L, 3L)).list();
        session.createQuery("from Hibernate$Member m where exists (select l.id from Hibernate$Loan l where l.member = m and l.fine > 0)").list();
        session.createCriteria(Member.class).add(Restrictions.ilike("name", "m", MatchMode.START)).addOrder(Order.desc("id")).setMaxResults(3).list();
        session.createCriteria(Loan.class).setProjection(Projections.projectionList().add(Projections.rowCount()).add(Projections.sum("fine")).add(Projections.groupProperty("title"))).list();
        session.createQuery("update Hibernate$Loan l set l.fine = l.fine + 1 where l.title like 'book%'").executeUpdate();
        session.createQuery("delete from Hibernate$Loan l where l.fine > 1000").executeUpdate();
        session.get(Member.class, 2L, LockOptions.UPGRADE);
        session.createSQLQuery("SELECT id, name, secret FROM member WHERE id = ?").setLong(0, 1).list();
        session.delete(session.createQuery("from Hibernate$Member m where m.name = 'm3'").uniqueResult());
        transaction.commit();
        session.close();
        factory.close();
    }
}
