# What agents may do. The same policy as ../pol/pack.pol.
package provost

controls := ["nist-800-53:AC-3", "nist-800-53:AC-6"]

agents := {"ai-agents", "ci-bots"}

dbas := {"db-admins"}

# The actor itself is in one of the groups: for whatever grants.
granted(groups) if {
	some group in input.principal.groups
	group in groups
}

# The actor or the person behind it is: for whatever restricts.
concerned(groups) if granted(groups)

concerned(groups) if {
	some group in input.principal.on_behalf_of.groups
	group in groups
}

# An access with its place among all of them.
on_public contains place if {
	some place, access in input.statement.accesses
	access.object.sort in {"relation", "function"}
	access.object.schema == "public"
}

decision contains {"rule": "agents-work", "verdict": "allow", "accesses": covered} if {
	granted(agents)
	covered := {place |
		some place in on_public
		input.statement.accesses[place].operation in {"read", "insert", "update", "delete"}
	}
}

# Without `accesses`: every access that is not opaque.
decision contains {"rule": "dbas-run-the-database", "verdict": "allow"} if granted(dbas)

decision contains {
	"rule": "agents-never-change-schema",
	"verdict": "deny",
	"because": "schema changes go through migrations",
} if {
	concerned(agents)
	some access in input.statement.accesses
	access.operation in {"create", "alter", "drop"}
}

decision contains {
	"rule": "no-bulk-change-of-customers",
	"verdict": "deny",
	"because": "customers are changed one key at a time",
} if {
	concerned(agents)
	some access in input.statement.accesses
	access.object == {"sort": "relation", "schema": "public", "name": "customers"}
	access.operation in {"update", "delete"}
	not access.bounded
}

decision contains {
	"rule": "bulk-change-of-orders",
	"verdict": "hold",
	"accesses": bulk,
	"approvals": [{"group": "dbas", "members": dbas, "count": 2, "within_ms": 900000}],
} if {
	granted(agents)
	bulk := {place |
		some place, access in input.statement.accesses
		access.object == {"sort": "relation", "schema": "public", "name": "orders"}
		access.operation in {"update", "delete"}
		not access.bounded
	}
}

decision contains {"rule": "agent-budget", "limits": {"rows": 10000, "time_ms": 30000}} if {
	concerned(agents)
	count(on_public) > 0
}

decision contains {"rule": "agent-recording", "recording": "results"} if {
	concerned(agents)
	count(on_public) > 0
}
