//! The endpoints of enterprises, teams, users and service accounts.

use utoipa::openapi::HttpMethod;

use super::{endpoint::Endpoint, rules};
use crate::api::wire::{
    EnterpriseChangeBody, EnterpriseList, EnterpriseMade, EnterpriseView, NewEnterpriseBody, NewServiceAccountBody,
    NewTeamBody, NewUserBody, PasswordBody, ServiceAccountChangeBody, ServiceAccountList, ServiceAccountMade,
    ServiceAccountView, TeamChangeBody, TeamList, TeamMade, TeamView, UserChangeBody, UserList, UserMade, UserView,
};

const MADE: &str = "It is made, or an earlier request with the same idempotency key had made it.";
const STILL_HAS: &str = "Something that is alive still belongs to it.";

pub(super) fn enterprises() -> Vec<Endpoint> {
    let (all, one) = ("/v1/enterprises", "/v1/enterprises/{id}");
    vec![
        Endpoint::get(all, "listEnterprises", "List enterprises")
            .admin()
            .page::<rules::TenantId>()
            .query::<rules::TenantStateWord>("state", "Only those in this state.")
            .answers::<EnterpriseList>(200, "Some enterprises, in the order of their ids."),
        Endpoint::post(all, "createEnterprise", "Make an enterprise")
            .admin()
            .changes()
            .once()
            .takes::<NewEnterpriseBody>()
            .answers::<EnterpriseMade>(201, MADE),
        Endpoint::get(one, "showEnterprise", "Show an enterprise")
            .admin()
            .id::<rules::TenantId>()
            .answers::<EnterpriseView>(200, "The enterprise."),
        Endpoint::patch(one, "changeEnterprise", "Change an enterprise")
            .admin()
            .id::<rules::TenantId>()
            .changes()
            .takes::<EnterpriseChangeBody>()
            .answers::<EnterpriseView>(200, "The enterprise after the change."),
        Endpoint::delete(one, "deleteEnterprise", "Delete an enterprise without teams and keys")
            .admin()
            .id::<rules::TenantId>()
            .changes()
            .done("It is gone.")
            .refuses(409, STILL_HAS),
    ]
}

pub(super) fn teams() -> Vec<Endpoint> {
    let (all, one) = ("/v1/teams", "/v1/teams/{id}");
    vec![
        Endpoint::get(all, "listTeams", "List teams")
            .admin()
            .page::<rules::TenantId>()
            .query::<rules::TenantId>("enterprise", "Only those of this enterprise.")
            .query::<rules::TenantStateWord>("state", "Only those in this state.")
            .answers::<TeamList>(200, "Some teams, in the order of their ids."),
        Endpoint::post(all, "createTeam", "Make a team")
            .admin()
            .changes()
            .once()
            .takes::<NewTeamBody>()
            .answers::<TeamMade>(201, MADE),
        Endpoint::get(one, "showTeam", "Show a team")
            .admin()
            .id::<rules::TenantId>()
            .answers::<TeamView>(200, "The team."),
        Endpoint::patch(one, "changeTeam", "Change a team")
            .admin()
            .id::<rules::TenantId>()
            .changes()
            .takes::<TeamChangeBody>()
            .answers::<TeamView>(200, "The team after the change.")
            .refuses(409, "A host belongs to another team.")
            .refuses(422, "There is no enterprise of that id."),
        Endpoint::delete(one, "deleteTeam", "Delete a team whose keys are all revoked")
            .admin()
            .id::<rules::TenantId>()
            .changes()
            .done("It is gone, and its revoked keys with it.")
            .refuses(409, STILL_HAS),
    ]
}

pub(super) fn users() -> Vec<Endpoint> {
    let (all, one) = ("/v1/users", "/v1/users/{id}");
    vec![
        Endpoint::get(all, "listUsers", "List users")
            .admin()
            .page::<rules::TenantId>()
            .query::<rules::TenantId>("team", "Only those of this team.")
            .query::<rules::TenantStateWord>("state", "Only those in this state.")
            .answers::<UserList>(200, "Some users, in the order of their ids."),
        Endpoint::post(all, "createUser", "Make a user")
            .admin()
            .changes()
            .once()
            .takes::<NewUserBody>()
            .answers::<UserMade>(201, MADE),
        Endpoint::get(one, "showUser", "Show a user")
            .admin()
            .id::<rules::TenantId>()
            .answers::<UserView>(200, "The user."),
        Endpoint::patch(one, "changeUser", "Change a user")
            .admin()
            .id::<rules::TenantId>()
            .changes()
            .takes::<UserChangeBody>()
            .answers::<UserView>(200, "The user after the change."),
        Endpoint::delete(one, "deleteUser", "Delete a user with all keys and sessions")
            .admin()
            .id::<rules::TenantId>()
            .changes()
            .done("The user is gone, and with the user all keys and sessions."),
        Endpoint::new(HttpMethod::Put, "/v1/users/{id}/password", "setPassword", "Set a password, or take it away")
            .admin()
            .id::<rules::TenantId>()
            .changes()
            .takes::<PasswordBody>()
            .done("It is set, or taken away."),
    ]
}

pub(super) fn service_accounts() -> Vec<Endpoint> {
    let (all, one) = ("/v1/service-accounts", "/v1/service-accounts/{id}");
    vec![
        Endpoint::get(all, "listServiceAccounts", "List service accounts")
            .admin()
            .page::<rules::TenantId>()
            .query::<rules::TenantId>("team", "Only those of this team.")
            .query::<rules::TenantId>("enterprise", "Only those of this enterprise.")
            .answers::<ServiceAccountList>(200, "Some service accounts, in the order of their ids."),
        Endpoint::post(all, "createServiceAccount", "Make a service account")
            .admin()
            .changes()
            .once()
            .takes::<NewServiceAccountBody>()
            .answers::<ServiceAccountMade>(201, MADE),
        Endpoint::get(one, "showServiceAccount", "Show a service account")
            .admin()
            .id::<rules::TenantId>()
            .answers::<ServiceAccountView>(200, "The service account."),
        Endpoint::patch(one, "changeServiceAccount", "Change a service account")
            .admin()
            .id::<rules::TenantId>()
            .changes()
            .takes::<ServiceAccountChangeBody>()
            .answers::<ServiceAccountView>(200, "The service account after the change."),
        Endpoint::delete(one, "deleteServiceAccount", "Delete a service account without a key")
            .admin()
            .id::<rules::TenantId>()
            .changes()
            .done("It is gone.")
            .refuses(409, STILL_HAS),
    ]
}
