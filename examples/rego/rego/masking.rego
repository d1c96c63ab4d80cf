# Who sees personal data only masked. It reads the principal and nothing else, so it is asked once for a session.
package provost.masking

controls := ["nist-800-53:AC-3(11)", "nist-800-53:SI-19(4)"]

privacy := {"privacy-officers"}

in_privacy(person) if {
	some group in person.groups
	group in privacy
}

# Both the actor and, if there is one, the person behind it.
sees_all if {
	in_privacy(input.principal)
	not input.principal.on_behalf_of
}

sees_all if {
	in_privacy(input.principal)
	in_privacy(input.principal.on_behalf_of)
}

decision contains {
	"rule": "mask-pii",
	"masks": [{
		"classes": ["pii"],
		"with": {"email": "keep domain", "ssn": "last 4"},
		"otherwise": "redact",
		"probing": "deny",
	}],
} if not sees_all
