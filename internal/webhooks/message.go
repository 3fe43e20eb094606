package webhooks

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	irtv1 "irthub/gen/irt/v1"
)

const (
	secretSize   = 32
	secretPrefix = "whsec_"
	// source is who CloudEvents are from.
	source = "urn:irt:hub"
	// typePrefix begins the type of a CloudEvent; the event's kind follows.
	typePrefix  = "irt.v1."
	contentType = "application/cloudevents+json"
)

func newSecret() []byte {
	secret := make([]byte, secretSize)
	_, _ = rand.Read(secret) // never fails
	return secret
}

// secretText is a secret as Standard Webhooks writes it.
func secretText(secret []byte) string {
	return secretPrefix + base64.StdEncoding.EncodeToString(secret)
}

// cloudEvent is a CloudEvent 1.0 in its JSON form.
type cloudEvent struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Subject         string          `json:"subject,omitempty"`
	Time            string          `json:"time"`
	DataContentType string          `json:"datacontenttype"`
	Data            json.RawMessage `json:"data"`
}

// message is what is sent: the same for each attempt.
type message struct {
	id   string
	body []byte
}

// eventMessage is the message of an event as the subscriber may know of it.
func eventMessage(e *irtv1.Event) (message, error) {
	data, err := protojson.Marshal(e)
	if err != nil {
		return message{}, fmt.Errorf("webhooks: writing an event: %w", err)
	}
	var compact bytes.Buffer // protojson's own spacing varies, and with it a signature would
	if err := json.Compact(&compact, data); err != nil {
		return message{}, fmt.Errorf("webhooks: writing an event: %w", err)
	}
	return newMessage(cloudEvent{
		ID:   strings.TrimPrefix(e.GetName(), "events/"),
		Type: typePrefix + strings.TrimPrefix(e.GetKind().String(), "EVENT_KIND_"), Subject: e.GetChild(),
		Time: e.GetEventTime().AsTime().Format(time.RFC3339Nano), Data: compact.Bytes(),
	})
}

// testMessage is about nothing.
func testMessage(id string, now time.Time) (message, error) {
	return newMessage(cloudEvent{ID: id, Type: typePrefix + "TEST", Time: now.UTC().Format(time.RFC3339Nano), Data: json.RawMessage("{}")})
}

func newMessage(c cloudEvent) (message, error) {
	c.SpecVersion, c.Source, c.DataContentType = "1.0", source, "application/json"
	body, err := json.Marshal(c)
	if err != nil {
		return message{}, fmt.Errorf("webhooks: writing an event: %w", err)
	}
	return message{c.ID, body}, nil
}

// sign sets the headers of Standard Webhooks, with a signature by each secret.
func (m message) sign(h http.Header, secrets [][]byte, now time.Time) {
	timestamp := strconv.FormatInt(now.Unix(), 10)
	signatures := make([]string, len(secrets))
	for i, secret := range secrets {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(m.id + "." + timestamp + "."))
		mac.Write(m.body)
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	h.Set("Webhook-Id", m.id)
	h.Set("Webhook-Timestamp", timestamp)
	h.Set("Webhook-Signature", strings.Join(signatures, " "))
}
