package feed

import (
	"github.com/google/uuid"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// Filter is which events are wanted; what is nil lets all through.
type Filter struct {
	kinds    map[irtv1.EventKind]bool
	children map[uuid.UUID]bool
	agencies map[string]bool // by resource name
}

// Filtered is what has a filter in it.
type Filtered interface {
	GetKinds() []irtv1.EventKind
	GetChildren() []string
	GetAgencies() []string
}

// NewFilter reads a filter. An error names the field that is at fault.
func NewFilter(req Filtered) (*Filter, error) {
	f := &Filter{}
	for _, k := range req.GetKinds() {
		put(&f.kinds, k)
	}
	for _, name := range req.GetChildren() {
		id, err := rpc.ParseChildName(name)
		if err != nil {
			return nil, badName("children", "children/{child}")
		}
		put(&f.children, id)
	}
	for _, name := range req.GetAgencies() {
		if _, ok := agencies.ParseName(name); !ok {
			return nil, badName("agencies", "agencies/{agency}")
		}
		put(&f.agencies, name)
	}
	return f, nil
}

func put[K comparable](set *map[K]bool, key K) {
	if *set == nil {
		*set = map[K]bool{}
	}
	(*set)[key] = true
}

func badName(field, form string) error {
	return rpc.Invalid([]standard.Fault{{
		Field: field, RuleID: "STRING_PATTERN", Description: "One of the names does not have the form it must have.",
		Action: "Send names of the form " + form + ".",
	}})
}

func (f *Filter) childIDs() []uuid.UUID {
	ids := make([]uuid.UUID, 0, len(f.children))
	for id := range f.children {
		ids = append(ids, id)
	}
	return ids
}

// wants judges what an event is about.
func (f *Filter) wants(e *Entry) bool {
	return (f.kinds == nil || f.kinds[e.Kind]) && (f.children == nil || f.children[e.Child] || f.children[e.OtherChild])
}

// wantsActor judges whose act an event tells of. It is asked with what the receiver
// is told, so that nobody can find out by filtering.
func (f *Filter) wantsActor(agency string) bool {
	return f.agencies == nil || f.agencies[agency]
}
