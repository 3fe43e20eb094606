package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"irthub/internal/pg"
	"irthub/internal/server"
)

type migrateCommand struct {
	dataFlag
	logFlags
}

// Help is shown by irthub migrate --help.
func (migrateCommand) Help() string {
	return `irthub serve does this by itself at its start. Do it apart to upgrade a database before the hubs that use it: hubs of the version before go on working with the new schema.

Example:

  IRTHUB_DATABASE_URL=postgres://… irthub migrate`
}

// Run migrates and prints the schema's version.
func (c *migrateCommand) Run(ctx context.Context, s streams) (err error) {
	log, err := c.logger(s.err)
	if err != nil {
		return err
	}
	db, err := server.OpenDatabase(ctx, c.Data, os.Getenv(databaseURLVariable), log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close(ctx)) }()
	database, binary, err := pg.SchemaVersion(ctx, db.Pool)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "The schema is at version %d; this irthub knows %d.\n", database, binary)
	return err
}
