package reference_test

import (
	"encoding/json"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/gateway/reference"
	"irthub/internal/standard"
)

func document(t *testing.T) *reference.Document {
	t.Helper()
	d, err := reference.New("test")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Whoever reads the reference finds of each operation what it does, who may call
// it and what it takes.
func TestOperationsAreDescribed(t *testing.T) {
	t.Parallel()
	d := document(t)
	for _, tag := range d.Tags {
		if tag.Description == "" {
			t.Errorf("%s has no description", tag.Name)
		}
		for _, op := range tag.Operations {
			if op.Summary == "" || op.Description == "" || strings.Contains(op.Description, "Errors:") {
				t.Errorf("%s: summary %q, description %q", op.OperationID, op.Summary, op.Description)
			}
			if op.Public == (len(op.Roles) > 0) {
				t.Errorf("%s: public %v, roles %v", op.OperationID, op.Public, op.Roles)
			}
			for _, p := range op.Parameters {
				if p.Ref == "" && p.Description == "" {
					t.Errorf("%s: the parameter %s has no description", op.OperationID, p.Name)
				}
				if name, ok := strings.CutPrefix(p.Ref, "#/components/parameters/"); ok && d.Components.Parameters[name] == nil {
					t.Errorf("%s: no parameter %s", op.OperationID, name)
				}
			}
		}
	}
	for _, s := range d.Components.Schemas {
		for _, p := range s.Schema.Properties {
			if p.Schema.Description == "" && s.Name != "Error" {
				t.Errorf("%s.%s has no description", s.Name, p.Name)
			}
		}
	}
}

// What the schema's options say is in the document.
func TestOptionsAreStated(t *testing.T) {
	t.Parallel()
	d := document(t)
	get := d.Paths["/v1/children/{child}"]["get"]
	if !get.Purpose || strings.Join(get.Roles, " ") != "agency-system practitioner data-manager mediator" {
		t.Errorf("GetChild: purpose %v, roles %v", get.Purpose, get.Roles)
	}
	if d.Paths["/v1/standard"]["get"].Security == nil || get.Security != nil {
		t.Error("what is public and what is not is not stated")
	}
	put := d.Paths["/v1/agencies/{agency}/childRecords/{localId}"]["put"]
	if put.Responses["409"] == nil || put.Responses["429"] == nil {
		t.Errorf("SubmitChildRecord: answers %v", put.Responses)
	}
	var record *reference.Schema
	for _, s := range d.Components.Schemas {
		if s.Name == "ChildRecord" {
			record = s.Schema
		}
	}
	for _, p := range record.Properties {
		switch p.Name {
		case "nhsNumber":
			if p.Schema.Standard.Category != "IDENTIFIER" || !strings.Contains(strings.Join(p.Schema.Standard.Rules, " "), "NHS_NUMBER_CHECK_DIGIT") {
				t.Errorf("nhsNumber: %+v", p.Schema.Standard)
			}
		case "givenName":
			if p.Schema.MaxLength != 100 {
				t.Errorf("givenName: %+v", p.Schema)
			}
		case "etag", "child":
			if p.Name == "child" && !p.Schema.ReadOnly {
				t.Error("child is not read-only")
			}
		}
	}
}

// Every reference within the document leads somewhere.
func TestReferences(t *testing.T) {
	t.Parallel()
	d := document(t)
	b, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, s := range d.Components.Schemas {
		known["#/components/schemas/"+s.Name] = true
	}
	for name := range d.Components.Parameters {
		known["#/components/parameters/"+name] = true
	}
	for name := range d.Components.Responses {
		known["#/components/responses/"+name] = true
	}
	for part := range strings.SplitSeq(string(b), `"$ref":"`) {
		ref, _, _ := strings.Cut(part, `"`)
		if strings.HasPrefix(ref, "#") && !known[ref] {
			t.Errorf("%s leads nowhere", ref)
		}
	}
}

// Every example is a body that the schema takes and, where it is a resource, the
// standard does too.
func TestExamples(t *testing.T) {
	t.Parallel()
	d := document(t)
	for _, r := range reference.Routes() {
		if r.Body == "" {
			continue
		}
		name := string(r.Method.Name())
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var example json.RawMessage
			for _, tag := range d.Tags {
				for _, op := range tag.Operations {
					if op.OperationID == name {
						for _, media := range op.Body.Content {
							example = media.Example
						}
					}
				}
			}
			message := r.Method.Input()
			if r.Body != "*" {
				message = message.Fields().ByName(protoreflect.Name(r.Body)).Message()
			}
			mt, err := protoregistry.GlobalTypes.FindMessageByName(message.FullName())
			if err != nil {
				t.Fatal(err)
			}
			m := mt.New().Interface()
			if err := protojson.Unmarshal(example, m); err != nil {
				t.Fatalf("%v: %s", err, example)
			}
			checkExample(t, r, m)
		})
	}
}

func checkExample(t *testing.T, r reference.Route, m proto.Message) {
	t.Helper()
	switch m := m.(type) {
	case *irtv1.ChildRecord:
		m.Name = "agencies/a/childRecords/1"
	case *irtv1.Involvement:
		m.Name = "agencies/a/involvements/1"
	case *irtv1.Agency, *irtv1.Practitioner, *irtv1.Subscription:
		if strings.HasPrefix(string(r.Method.Name()), "Update") {
			return // a mask says which fields count
		}
	case *irtv1.ValidateRecordRequest:
		return // it is wrong on purpose
	}
	faults, _ := standard.Check(m, standard.Options{NameOptional: true})
	for _, f := range faults {
		if !strings.Contains(r.Pattern, "{"+f.Field+"=") { // that comes with the address
			t.Errorf("%s: %s %s", f.Field, f.RuleID, f.Description)
		}
	}
}
