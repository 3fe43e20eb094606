package involvement

import (
	"strings"

	"github.com/google/uuid"

	"irthub/internal/agencies"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

func childName(id uuid.UUID) string { return "children/" + standard.FormatChildID(id) }

// parseChildName reads children/{child}. What is not such a name names no child.
func parseChildName(name string) (uuid.UUID, error) {
	text, ok := strings.CutPrefix(name, "children/")
	if !ok {
		return uuid.Nil, rpc.NotFound("child")
	}
	id, err := standard.ParseChildID(text)
	if err != nil {
		return uuid.Nil, rpc.NotFound("child")
	}
	return id, nil
}

func involvementName(agency, localID string) string {
	return "agencies/" + agency + "/involvements/" + localID
}

// parseName reads agencies/{agency}/involvements/{local_id}.
func parseName(name string) (agency, localID string, ok bool) {
	return agencies.ParseChildName(name, "involvements")
}

func recordName(agency, localID string) string {
	return "agencies/" + agency + "/childRecords/" + localID
}

// parseRecordName reads agencies/{agency}/childRecords/{local_id}.
func parseRecordName(name string) (agency, localID string, ok bool) {
	return agencies.ParseChildName(name, "childRecords")
}
