package involvement

// ReadSQL is the coalesced list's statement, for tests of its plan and for the
// benchmark's raw reference.
var ReadSQL = ListQuery

// CoalescedRows is how many involvements of one child the coalesced list brings.
const CoalescedRows = coalescedRows
