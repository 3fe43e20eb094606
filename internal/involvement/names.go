package involvement

import "irthub/internal/agencies"

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
