package api

import (
	"context"
	"embed"
	"net/http"
	"path"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gofiber/fiber/v2"

	"armora/fleet"
)

// Contact is an emergency contact, as the API shows it.
type Contact struct {
	ID         fleet.ContactID    `json:"id" format:"uuid"`
	Name       string             `json:"name"`
	Relation   string             `json:"relation,omitempty"`
	Email      string             `json:"email,omitempty"`
	Phone      string             `json:"phone,omitempty"`
	State      fleet.ContactState `json:"state" enum:"invited,opted_in,declined" doc:"Only who has opted in is told anything"`
	AnsweredAt time.Time          `json:"answered_at,omitzero"`
	CreatedAt  time.Time          `json:"created_at"`
}

func showContact(c fleet.Contact) Contact {
	return Contact{
		ID: c.ID, Name: c.Name, Relation: c.Relation, Email: c.Email, Phone: c.Phone,
		State: c.State, AnsweredAt: c.Answered, CreatedAt: c.Created,
	}
}

// ContactBody is what is said of a contact.
type ContactBody struct {
	Name     string `json:"name" minLength:"1" maxLength:"100"`
	Relation string `json:"relation,omitempty" maxLength:"100" doc:"Sister, lawyer, chief of staff…"`
	Email    string `json:"email,omitempty" maxLength:"254"`
	Phone    string `json:"phone,omitempty" maxLength:"16" doc:"E.164; the invitation goes by e-mail if there is an address"`
}

func (b *ContactBody) contact(id fleet.ContactID) fleet.Contact {
	return fleet.Contact{ID: id, Name: b.Name, Relation: b.Relation, Email: b.Email, Phone: b.Phone}
}

// ContactPath names an emergency contact in a path.
type ContactPath struct {
	ID fleet.ContactID `path:"id" format:"uuid"`
}

type createContactInput struct{ Body ContactBody }

type putContactInput struct {
	ContactPath
	Body ContactBody
}

type contactOutput struct{ Body Contact }

type invitationInput struct {
	Body struct {
		Token string `json:"token" minLength:"1" maxLength:"100" doc:"What the link of the invitation has behind its #"`
	}
}

func (s *Server) addEmergencyContacts() {
	tags := []string{"emergency contacts"}
	route(s, signedIn(), huma.Operation{
		OperationID: "list-contacts", Method: http.MethodGet, Path: "/api/users/contacts",
		Summary: "List one's own emergency contacts, the oldest first; there are 10 at most", Tags: tags,
	}, s.listContacts)
	route(s, signedIn(), huma.Operation{
		OperationID: "create-contact", Method: http.MethodPost, Path: "/api/users/contacts", DefaultStatus: http.StatusCreated,
		Summary: "Add an emergency contact, who is invited to agree to it", Tags: tags,
	}, s.createContact)
	route(s, signedIn(), huma.Operation{
		OperationID: "put-contact", Method: http.MethodPut, Path: "/api/users/contacts/{id}",
		Summary: "Change an emergency contact; at another address, they are invited again", Tags: tags,
	}, s.putContact)
	route(s, signedIn(), huma.Operation{
		OperationID: "invite-contact", Method: http.MethodPost, Path: "/api/users/contacts/{id}/invite", DefaultStatus: http.StatusNoContent,
		Summary: "Invite an emergency contact once more who has not answered", Tags: tags,
	}, s.inviteContact)
	route(s, signedIn(), huma.Operation{
		OperationID: "delete-contact", Method: http.MethodDelete, Path: "/api/users/contacts/{id}", DefaultStatus: http.StatusNoContent,
		Summary: "Delete an emergency contact", Tags: tags,
	}, s.deleteContact)
	route(s, anyone().rated(guessing), huma.Operation{
		OperationID: "contact-opt-in", Method: http.MethodPost, Path: "/api/contacts/opt-in", DefaultStatus: http.StatusNoContent,
		Summary: "Agree to be somebody's emergency contact, by the token of the invitation", Tags: tags,
	}, func(ctx context.Context, in *invitationInput) (*struct{}, error) {
		return nil, s.cfg.Contacts.OptIn(ctx, in.Body.Token)
	})
	route(s, anyone().rated(guessing), huma.Operation{
		OperationID: "contact-opt-out", Method: http.MethodPost, Path: "/api/contacts/opt-out", DefaultStatus: http.StatusNoContent,
		Summary: "Decline to be somebody's emergency contact, at any time", Tags: tags,
	}, func(ctx context.Context, in *invitationInput) (*struct{}, error) {
		return nil, s.cfg.Contacts.OptOut(ctx, in.Body.Token)
	})
	s.app.Get("/contact", func(c *fiber.Ctx) error { return sendContactPage(c, "index.html") })
	s.app.Get("/contact/:file", func(c *fiber.Ctx) error { return sendContactPage(c, c.Params("file")) })
}

func (s *Server) listContacts(ctx context.Context, _ *struct{}) (*pageOutput[Contact], error) {
	list, err := s.cfg.Contacts.List(ctx, callerOf(ctx).User)
	if err != nil {
		return nil, err
	}
	return newPage(list, len(list), showContact, nil)
}

func (s *Server) createContact(ctx context.Context, in *createContactInput) (*contactOutput, error) {
	c, err := s.cfg.Contacts.Add(ctx, callerOf(ctx).User, in.Body.contact(fleet.ContactID{}))
	if err != nil {
		return nil, err
	}
	return &contactOutput{Body: showContact(c)}, nil
}

func (s *Server) putContact(ctx context.Context, in *putContactInput) (*contactOutput, error) {
	c, err := s.cfg.Contacts.Change(ctx, callerOf(ctx).User, in.Body.contact(in.ID))
	if err != nil {
		return nil, err
	}
	return &contactOutput{Body: showContact(c)}, nil
}

func (s *Server) inviteContact(ctx context.Context, in *ContactPath) (*struct{}, error) {
	return nil, s.cfg.Contacts.Invite(ctx, callerOf(ctx).User, in.ID)
}

func (s *Server) deleteContact(ctx context.Context, in *ContactPath) (*struct{}, error) {
	return nil, s.cfg.Contacts.Delete(ctx, callerOf(ctx).User, in.ID)
}

// contactFiles are the page on which an invitation is answered. It holds no data.
//
//go:embed contact/index.html contact/page.css contact/page.js
var contactFiles embed.FS

const contactPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func sendContactPage(c *fiber.Ctx, name string) error {
	content, err := contactFiles.ReadFile(path.Join("contact", path.Base(name)))
	if err != nil {
		return fiber.ErrNotFound
	}
	c.Set("Content-Security-Policy", contactPolicy)
	c.Type(path.Ext(name), "utf-8")
	return c.Send(content)
}
