package fleet

// PushToken is what the push service knows an app by that somebody is signed in
// with. Who has it can have things shown there, so it is kept sealed.
type PushToken string

// PushTokenID identifies the registration of a push token.
type PushTokenID = ID[PushToken]

// PushPurpose is what a push token is sealed for.
func PushPurpose(id PushTokenID) string { return "push_token/" + id.String() }
