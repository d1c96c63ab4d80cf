"""Checks a report's documents against their standards: OSCAL with NIST's model as compliance-trestle has it, OCSF with the schema of its class.

  python auditor_documents.py FOLDER      prints how many observations and events there were
"""
import json, pathlib, sys
import jsonschema
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema
from trestle.oscal.assessment_results import Model

folder = pathlib.Path(sys.argv[1])
text = (folder / "oscal-assessment-results.json").read_text()
Model.model_validate_json(text)
results = json.loads(text)["assessment-results"]["results"]
assert all("findings" not in result for result in results), "a finding would claim a status"
observations = [observation for result in results for observation in result["observations"]]
assert len({observation["uuid"] for observation in observations}) == len(observations)

schemas = OcsfJsonSchemaEmbedded(get_ocsf_schema(version="1.6.0"))
schema = schemas.get_class_schema(class_name=schemas.lookup_class_name_from_uid(class_uid=6005), profiles=["security_control"])
validator = jsonschema.Draft202012Validator(schema)
events = [json.loads(line) for line in (folder / "ocsf.jsonl").read_text().splitlines()]
for event in events:
    validator.validate(event)
print(json.dumps({
    "observations": len(observations),
    "events": len(events),
    "actions": {str(action): sum(event["action_id"] == action for event in events) for action in (1, 2, 4)},
}))
