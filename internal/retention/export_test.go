package retention

import (
	"context"
	"time"
)

// Look does what the daily loop does every ten minutes.
func (d *Daily) Look(ctx context.Context, today time.Time) error { return d.look(ctx, today) }
