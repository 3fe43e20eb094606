package rpc

import (
	"slices"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"irthub/internal/standard"
)

// maskRule is the rule id of faults in update masks.
const maskRule = "UPDATE_MASK_PATH"

// Revise returns current with the fields of given that the mask names (AIP-134):
// "*" means all, and no mask those that are set. Paths that name no field, or one
// that only the hub sets, are faults. The latter may be in the mask if they stand
// as they are, for a client that sends back what it has read, as REST clients
// do: the gateway puts every field of the body into the mask.
func Revise[T proto.Message](current, given T, mask *fieldmaskpb.FieldMask) (T, error) {
	next := proto.CloneOf(current)
	from, to := given.ProtoReflect(), next.ProtoReflect()
	fields, faults := maskedFields(from, mask)
	for _, f := range fields {
		switch {
		case settable(f):
			copyField(to, from, f)
		case !standsAsItIs(to, from, f):
			faults = append(faults, standard.Fault{
				Field: "update_mask", RuleID: maskRule,
				Description: "The path " + string(f.Name()) + " names a field that only the hub sets.",
				Action:      "Leave it out of update_mask.",
			})
		}
	}
	if len(faults) > 0 {
		return next, Invalid(faults)
	}
	return next, nil
}

// maskedFields are the fields that the mask means. Resources that people change by
// mask are flat, so every path is the name of one.
func maskedFields(given protoreflect.Message, mask *fieldmaskpb.FieldMask) (fields []protoreflect.FieldDescriptor, faults []standard.Fault) {
	named := given.Descriptor().Fields()
	paths := mask.GetPaths()
	for i := range named.Len() {
		f := named.Get(i)
		switch {
		case len(paths) == 0 && given.Has(f) && settable(f), slices.Contains(paths, "*") && settable(f),
			slices.Contains(paths, string(f.Name())):
			fields = append(fields, f)
		}
	}
	for _, p := range paths {
		if p != "*" && named.ByName(protoreflect.Name(p)) == nil {
			faults = append(faults, standard.Fault{
				Field: "update_mask", RuleID: maskRule,
				Description: "A path of update_mask names no field of the resource.",
				Action:      "Name the fields as the schema does, such as display_name, or * for all.",
			})
		}
	}
	return fields, faults
}

// settable tells the fields that people set from the name, the etag and those
// that only the hub sets.
func settable(f protoreflect.FieldDescriptor) bool {
	if f.Name() == "etag" {
		return false
	}
	behaviours, _ := proto.GetExtension(f.Options(), annotations.E_FieldBehavior).([]annotations.FieldBehavior)
	return !slices.Contains(behaviours, annotations.FieldBehavior_OUTPUT_ONLY) &&
		!slices.Contains(behaviours, annotations.FieldBehavior_IDENTIFIER)
}

func copyField(to, from protoreflect.Message, f protoreflect.FieldDescriptor) {
	if from.Has(f) {
		to.Set(f, from.Get(f))
	} else {
		to.Clear(f)
	}
}

// standsAsItIs tells whether a field that only the hub sets is sent back
// unchanged. An etag has been compared already, as a condition.
func standsAsItIs(to, from protoreflect.Message, f protoreflect.FieldDescriptor) bool {
	return f.Name() == "etag" || from.Has(f) && from.Get(f).Equal(to.Get(f))
}

// SameSettings tells whether nothing that people set differs.
func SameSettings(a, b proto.Message) bool {
	x, y := a.ProtoReflect(), b.ProtoReflect()
	fields := x.Descriptor().Fields()
	for i := range fields.Len() {
		if f := fields.Get(i); settable(f) && !x.Get(f).Equal(y.Get(f)) {
			return false
		}
	}
	return true
}
