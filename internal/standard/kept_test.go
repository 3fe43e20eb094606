package standard

import (
	"testing"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoregistry"

	irtv1 "irthub/gen/irt/v1"
)

// What is plainly kept must be what CEL finds kept, in every case.
func TestWhatIsPlainlyKeptIsKept(t *testing.T) {
	t.Parallel()
	for name := range plainlyKept {
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
		if err != nil {
			t.Fatal(err)
		}
		rules := proto.GetExtension(d.Options(), validate.E_Message).(*validate.MessageRules)
		if n := len(rules.GetCel()) + len(rules.GetCelExpression()) + len(rules.GetOneof()); n != 1 || name != "irt.v1.ChildRecord" {
			t.Errorf("%s has %d rules: plainlyKept must know each, and this test their cases", name, n)
		}
	}
	for _, r := range []*irtv1.ChildRecord{
		{},
		{DateOfBirth: "2015-06-02"},
		{ExpectedDateOfBirth: "2027-01-01"},
		{DateOfBirth: "2015-06-02", ExpectedDateOfBirth: "2027-01-01"},
	} {
		m := r.ProtoReflect()
		kept := plainlyKept[m.Descriptor().FullName()](m)
		broken := false
		if err := validator().Validate(r); err != nil {
			for _, v := range err.(*protovalidate.ValidationError).Violations { //nolint:errorlint // as Validate documents
				broken = broken || v.Proto.GetRuleId() == "BIRTH_DATE_ONE_OF"
			}
		}
		if kept == broken {
			t.Errorf("%v: plainly kept %t, broken %t", r, kept, broken)
		}
	}
}
