package involvement

// CoalescedRows is how many involvements of one child the coalesced list brings.
const CoalescedRows = coalescedRows
