package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/audit"
	"irthub/internal/identity"
	"irthub/internal/revocations"
	"irthub/internal/server"
)

type tokenRevokeCommand struct {
	dataFlag

	TokenFile string `placeholder:"FILE" xor:"which" help:"File that holds the token; - is standard input."`
	ID        string `name:"id" placeholder:"ID" xor:"which" help:"The token's jti claim, where the token itself is not at hand."`
	CertFile  string `placeholder:"FILE" xor:"which" type:"existingfile" help:"A client certificate, PEM."`
	Issuer    string `placeholder:"ISS" default:"irthub" help:"With --id: the token's iss claim (default: irthub)."`
	Reason    string `placeholder:"TEXT" help:"Why, such as 'laptop stolen'; it names no child."`
}

// Help is shown by irthub token revoke --help.
func (tokenRevokeCommand) Help() string {
	return `Has every hub on the database refuse a token or client certificate, within five seconds, and end the streams that were opened with it. It is recorded in the access log. Over the API RevocationService.RevokeToken does the same.

A whole agency, or a practitioner, is shut out by making it inactive in the directory.

Examples:

  irthub token revoke --token-file stolen.token --reason 'laptop stolen'
  irthub token revoke --issuer https://login.example.gov.uk --id 4f1c…
  irthub token revoke --cert-file school-1.pem`
}

// Run revokes.
func (c *tokenRevokeCommand) Run(ctx context.Context, s streams) (err error) {
	wanted, err := c.revocation()
	if err != nil {
		return usage(err)
	}
	log := slog.New(slog.NewTextHandler(s.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	db, err := server.OpenDatabase(ctx, c.Data, os.Getenv(databaseURLVariable), log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close(ctx)) }()
	stored, err := revocations.Revoke(ctx, db.Pool, wanted, "", audit.New(ctx, "irthub token revoke"))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "revoked %s of %s until %s\n", stored.GetTokenId(), stored.GetIssuer(),
		stored.GetExpireTime().AsTime().Format(time.RFC3339))
	return err
}

// revocation is what is to be revoked.
func (c *tokenRevokeCommand) revocation() (*irtv1.Revocation, error) {
	r := &irtv1.Revocation{Issuer: c.Issuer, TokenId: c.ID, Reason: c.Reason}
	expiry := time.Now().Add(identity.MaxLifetime + identity.Leeway)
	switch {
	case c.TokenFile != "":
		raw, err := readText(c.TokenFile)
		if err != nil {
			return nil, fmt.Errorf("--token-file: %w", err)
		}
		if r.Issuer, r.TokenId, err = identity.TokenName(raw); err != nil {
			return nil, err
		}
	case c.CertFile != "":
		cert, err := readCertificate(c.CertFile)
		if err != nil {
			return nil, fmt.Errorf("--cert-file: %w", err)
		}
		r.Issuer, r.TokenId, expiry = identity.CertificateIssuer, identity.Thumbprint(cert), cert.NotAfter
	case c.ID == "":
		return nil, errors.New("say which: --token-file, --id or --cert-file")
	}
	r.ExpireTime = timestamppb.New(expiry)
	return r, nil
}

// readText reads a file, or standard input for -.
func readText(file string) (string, error) {
	if file == "-" {
		b, err := io.ReadAll(io.LimitReader(os.Stdin, 64<<10))
		return string(b), err
	}
	b, err := os.ReadFile(file)
	return string(b), err
}

// readCertificate reads the first certificate of a PEM file.
func readCertificate(file string) (*x509.Certificate, error) {
	rest, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, errors.New("it holds no certificate in PEM form")
		}
		if block.Type == "CERTIFICATE" {
			return x509.ParseCertificate(block.Bytes)
		}
	}
}
