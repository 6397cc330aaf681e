package schema_test

import (
	"testing"
	"time"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

func notice(to string) fleet.Notice {
	return fleet.Notice{
		ID: fleet.NewID[fleet.Notice](), Channel: fleet.MailChannel, To: to, Kind: "verify_email",
		Sealed: []byte{1, 2}, Created: noon, Expires: noon.Add(time.Hour),
	}
}

func TestANoticeIsSentOnceAtMost(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, notices := t.Context(), schema.Notices{DB: db}
		sent, lost, late, refused := notice("a@example.com"), notice("b@example.com"), notice("c@example.com"), notice("d@example.com")
		must(t, notices.Add(ctx, sent, lost, late, refused))
		jobs := column(ctx, t, db, `SELECT args ->> 'id' FROM river_job WHERE kind = 'notice' ORDER BY 1`)
		if len(jobs) != 4 || jobs[0] != sent.ID.String() {
			t.Fatalf("jobs %v", jobs)
		}
		got, err := notices.Claim(ctx, sent.ID, noon)
		must(t, err)
		if got.To != sent.To || string(got.Sealed) != string(sent.Sealed) || !got.Expires.Equal(sent.Expires) {
			t.Errorf("claimed %+v, want %+v", got, sent)
		}
		must(t, notices.Finish(ctx, sent.ID, fleet.NoticeSent, "", noon))
		wantCode(t, notices.Finish(ctx, sent.ID, fleet.NoticeFailed, "", noon), fleet.CodeNotFound)

		_, err = notices.Claim(ctx, lost.ID, noon) // and the claimant dies
		must(t, err)
		_, err = notices.Claim(ctx, refused.ID, noon)
		must(t, err)
		must(t, notices.Finish(ctx, refused.ID, fleet.NoticeQueued, "busy", noon))
		_, err = notices.Claim(ctx, refused.ID, noon)
		must(t, err)
		must(t, notices.Finish(ctx, refused.ID, fleet.NoticeFailed, "no such mailbox", noon))

		for id, at := range map[fleet.NoticeID]time.Time{
			sent.ID: noon, lost.ID: noon, late.ID: late.Expires, refused.ID: noon, fleet.NewID[fleet.Notice](): noon,
		} {
			_, err := notices.Claim(ctx, id, at)
			wantCode(t, err, fleet.CodeConflict)
		}
		all, err := notices.List(ctx, fleet.UserID{}, fleet.NoticeID{}, 10)
		must(t, err)
		want := []fleet.NoticeState{fleet.NoticeFailed, fleet.NoticeExpired, fleet.NoticeUnknown, fleet.NoticeSent}
		for i, s := range all {
			if s.State != want[i] {
				t.Errorf("%s is %s, want %s", s.Notice.To, s.State, want[i])
			}
		}
		if all[0].Attempts != 2 || all[0].Problem != "no such mailbox" {
			t.Errorf("%+v", all[0])
		}
		rest, err := notices.List(ctx, fleet.UserID{}, all[1].Notice.ID, 1)
		must(t, err)
		if len(rest) != 1 || rest[0].Notice.ID != lost.ID {
			t.Errorf("the next page is %+v", rest)
		}
	})
}
