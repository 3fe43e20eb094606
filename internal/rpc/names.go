package rpc

import (
	"strings"

	"github.com/google/uuid"

	"irthub/internal/standard"
)

// ChildName is the resource name of a child, children/{child}; no child has none.
func ChildName(id uuid.UUID) string {
	if id == uuid.Nil {
		return ""
	}
	return "children/" + standard.FormatChildID(id)
}

// ParseChildName reads children/{child}. What is not such a name names no child,
// which is all that a caller is told: NotFound.
func ParseChildName(name string) (uuid.UUID, error) {
	text, ok := strings.CutPrefix(name, "children/")
	if !ok {
		return uuid.Nil, NotFound("child")
	}
	id, err := standard.ParseChildID(text)
	if err != nil {
		return uuid.Nil, NotFound("child")
	}
	return id, nil
}
