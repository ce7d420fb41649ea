"""Every promise of SECURITY.md has a test that proves it.

`PROMISES` maps each sentence and each row of its promising sections to tests, as `module::function`.
"""

import re

import pytest

from blaxel_mcp.core.json_text import MAX_ARGUMENT_VALUES
from blaxel_mcp.server.tenants import TOOL_CALLS_PER_MINUTE
from tests.support.claims import claims_in, has_test
from tests.support.docs_pages import read
from tests.support.sources import ROOT

PAGE = ROOT / "SECURITY.md"

PROMISING = ("Threat model", "What the server does")
OTHERS = ("Reporting", "What the server does not do", "Advice")
"""Sections that promise nothing."""

PROMISES: dict[str, tuple[str, ...]] = {
    "`blaxel-mcp` holds a key that spends money, and does what an agent asks of it.": (
        "server/test_server::test_a_request_carries_exactly_one_authentication_header_and_the_workspace",
    ),
    "A test proves each row of this table and each sentence of the next section: "
    "`tests/contract/test_security_promises.py` names them.": (
        "contract/test_security_promises::test_every_promise_has_its_tests",
        "contract/test_security_promises::test_the_tests_of_a_promise_exist",
    ),
    "| the user who starts the server | everything: the settings and the credentials are theirs | - |": (
        "server/http/test_visibility::test_the_owner_over_stdio_is_shown_all_of_it",
    ),
    "| the MCP client over stdio | calling any tool: it runs as the user | well-formed, small or rare messages: "
    "each is checked and bounded |": (
        "e2e/test_frames::test_a_server_answers_invalid_frames_and_goes_on",
        "properties/test_frames_read::test_any_bytes_are_a_message_or_get_an_answer",
        "e2e/test_floods::test_a_large_flood_is_an_error_within_its_memory_and_harms_no_later_call",
    ),
    "| a caller over HTTP | calls with its token, or with its own Blaxel key | the owner's key, paths and "
    "settings; other callers' handles, answers and usage; more than its share |": (
        "server/http/test_visibility::test_no_caller_over_http_is_shown_a_place_of_the_owners",
        "server/http/test_visibility::test_callers_who_share_a_key_do_not_learn_what_the_others_call",
        "server/test_tenants::test_a_callers_answers_and_handles_are_known_to_nobody_else",
        "server/test_tenants::test_one_token_that_calls_without_end_leaves_the_others_their_turns",
        "server/http/auth/test_caller_auth::test_a_caller_with_a_token_cannot_bring_a_key_or_a_workspace",
    ),
    "| the agent, and any text in its context | calling models within `[access]`, `locked`, `[limits]` and "
    "`[budget]` | choosing hosts or credentials; files outside `files.allowed_dirs`; the settings |": (
        "tools/test_run_model::test_what_access_does_not_allow_is_refused_before_anything_is_sent",
        "inference/test_access::test_locked_fields_hold_in_the_models_own_tool_and_in_run_model",
        "tools/test_run_model::test_a_path_that_could_leave_the_model_is_refused_before_anything_is_sent",
        "inference/test_files::test_a_file_outside_is_refused_in_the_same_words_as_one_that_is_missing",
        "inference/test_spending::test_a_cap_of_money_holds_against_an_agent_that_does_nothing_but_call",
    ),
    "| a model's answer | being shown, in full and bounded | changing a tool, a setting, the name of a file or a "
    "decision |": (
        "core/test_media_types::test_the_ending_of_a_file_is_never_upstreams",
        "cli/test_run::test_a_binary_answer_is_saved_under_a_name_of_ours",
        "properties/test_shaped_results::test_any_body_of_any_declared_type_is_an_answer_or_a_bad_response",
        "properties/test_shaped_results::test_a_result_is_within_the_limit_and_its_text_matches_its_structure",
    ),
    "| the provider behind a model | the request | the Blaxel key; text that is shown as this server's own; "
    "sizes, encodings and ends of its answers |": (
        "client/auth/test_authenticator::test_request_to_another_origin_goes_bare",
        "core/test_media_types::test_a_type_that_only_upstream_knows_is_quoted",
        "client/errors/test_classify::test_message_is_one_sentence_that_quotes_upstream_as_data",
        "client/test_body_reader::test_compression_bomb_costs_no_more_memory_than_the_limit",
        "client/test_body_reader::test_cut_or_corrupt_body_is_never_given_back_as_whole",
    ),
    "| Blaxel | the credentials, the list of models and their URLs | text that is shown as this server's own; "
    "answers without bounds; sending the key to this machine or a private network |": (
        "catalog/test_catalog::test_no_sentence_of_someone_elses_stands_in_a_description",
        "client/test_endpoints::test_a_remote_control_plane_sends_the_key_to_no_internal_host",
        "catalog/test_control_plane::test_cursors_that_lead_on_for_ever_are_followed_to_an_end",
    ),
    "| other users of the machine | nothing, unless an HTTP server runs without `http.auth` | reading files of "
    "this server, changing its settings file, providing its folders |": (
        "core/test_private_files::test_all_that_a_server_writes_is_its_users_alone",
        "settings/test_fail_closed::test_a_file_that_others_can_change_is_refused",
        "core/test_foreign_folders::test_a_folder_of_another_user_is_refused_and_stays_as_it_is",
    ),
    "| the network | nothing | redirects, certificates that are not valid, and `http` URLs beyond this machine |": (
        "client/test_client::test_redirect_is_an_error_and_the_other_host_hears_nothing",
        "client/test_client::test_a_certificate_that_nobody_vouches_for_gets_no_key",
        "settings/test_fail_closed::test_credentials_leave_this_machine_over_https_only",
    ),
    "Credentials are held as secret values, and only `client/auth` and `server/http/auth` unwrap them.": (
        "test_architecture::test_an_attribute_with_one_home_is_read_nowhere_else",
        "contract/test_leaks_local::test_no_repr_shows_a_secret",
        "client/auth/test_authenticator::test_nothing_that_is_shown_of_the_objects_holds_a_secret",
    ),
    "A key is sent in one header, to the origins of `run_url` and `api_url` and to a model's own URL as the "
    "control plane gives it.": (
        "server/test_server::test_a_request_carries_exactly_one_authentication_header_and_the_workspace",
        "client/auth/test_authenticator::test_only_the_configured_origins_are_trusted",
        "inference/test_endpoint_choice::test_an_mk3_model_is_called_at_its_own_url_even_at_another_origin",
        "inference/test_endpoint_choice::test_a_forced_url_at_a_foreign_origin_gets_no_key_and_the_receipt_says_so",
    ),
    "No result, receipt, error, log or file contains a key: after each test, all of them are searched for the "
    "test's keys.": (
        "e2e/test_leaks_check::test_a_test_that_leaks_a_secret_fails_with_the_place",
        "e2e/test_leaks::test_a_server_that_logs_everything_logs_no_secret",
        "e2e/test_leaks::test_what_a_killed_server_leaves_behind_holds_no_secret",
        "contract/test_leaks_kept::test_the_ledger_and_the_list_of_models_hold_no_secret",
        "contract/test_leaks_kept::test_the_url_of_a_receipt_has_no_key_of_its_query",
    ),
    "`install` writes a key into a client's file only with `--with-key`.": (
        "setup/install/test_install::test_a_client_gets_the_server_with_a_key_that_is_nowhere_in_its_file",
        "setup/install/test_install::test_with_key_writes_the_key_says_so_and_prints_it_nowhere",
        "setup/install/test_install::test_a_removed_key_is_in_no_backup_either",
    ),
    "Errors and descriptions of others are quoted, bounded, and freed of control characters and of anything that "
    "looks like a credential.": (
        "client/errors/test_classify::test_message_is_one_sentence_that_quotes_upstream_as_data",
        "client/errors/test_classify::test_message_is_bounded",
        "core/test_redaction::test_what_looks_like_a_credential_is_replaced",
        "core/test_redaction::test_quoted_text_is_one_visible_line",
        "contract/test_promises_errors::test_a_foreign_credential_in_a_models_record_is_redacted",
    ),
    "This server's own secrets are removed from answers, and from errors and headers also if invisible "
    "characters are between their letters.": (
        "client/auth/test_authenticator::test_every_secret_of_ours_is_taken_out_of_what_comes_back",
        "client/test_client::test_secret_that_upstream_echoes_is_taken_out_of_bodies_headers_and_errors",
        "client/errors/test_classify::test_a_secret_in_a_header_or_message_is_found_behind_invisible_characters",
        "properties/test_redaction_holds::test_a_key_of_ours_with_invisible_characters_in_it_is_not_quoted",
    ),
    "A display name is quoted in a title, and not shown if it has more than five words or 40 characters; a word of a "
    "model's record is quoted in a description.": (
        "catalog/test_catalog::test_a_display_name_that_is_no_name_is_no_title",
        "catalog/test_catalog::test_a_display_name_is_quoted_beside_the_models_name_in_a_title",
        "catalog/test_catalog::test_a_word_of_a_record_is_quoted_in_a_description",
    ),
    "The extension of a file comes from a table of this server.": (
        "core/test_media_types::test_the_ending_of_a_file_is_never_upstreams",
        "cli/test_run::test_a_binary_answer_is_saved_under_a_name_of_ours",
    ),
    "On a terminal, no control character of an answer or an error is printed.": (
        "cli/test_run::test_an_answer_controls_no_terminal",
        "cli/test_run::test_a_sequence_that_comes_in_pieces_controls_no_terminal",
        "cli/test_run::test_an_error_controls_no_terminal",
    ),
    "A setting that would restrict something and cannot take effect is an error at the start: blank, unexpanded, "
    "misspelled or contradicting.": (
        "properties/test_settings_fail_closed::test_a_blank_or_unexpanded_value_of_a_key_that_shuts_something_is_an_error",
        "properties/test_settings_fail_closed::test_a_value_of_another_type_is_an_error_for_a_key_that_shuts_something",
        "settings/test_loading::test_an_unknown_variable_of_ours_is_an_error_with_the_nearest",
        "settings/test_loading::test_an_unknown_key_is_an_error_with_the_nearest_or_all_known_keys",
        "settings/test_fail_closed::test_a_key_without_its_auth_is_an_error",
        "settings/test_fail_closed::test_a_lock_that_was_not_expanded_is_an_error",
        "e2e/test_http_process::test_no_variable_of_the_platform_and_nothing_blank_opens_the_server",
    ),
    "A running server keeps its rules when its settings file is lost, emptied or unreadable.": (
        "settings/test_fail_closed::test_a_file_that_is_gone_leaves_the_rules_of_a_running_server",
        "server/test_reload::test_a_settings_file_that_is_lost_leaves_its_rules_in_force_and_the_owner_is_told_once",
    ),
    "A settings file, or a file of `bl login`, that other users can change is not used.": (
        "settings/test_fail_closed::test_a_file_that_others_can_change_is_refused",
        "settings/test_login_file::test_a_file_that_others_can_change_is_not_used",
        "settings/test_login_file::test_a_file_of_another_user_is_not_used",
    ),
    "`[access]` and `locked` hold for every tool, decided on the request that is sent: its body, path and query.": (
        "inference/test_access::test_a_request_that_names_another_model_is_refused",
        "inference/test_access::test_locked_fields_hold_in_the_models_own_tool_and_in_run_model",
        "properties/test_locks_hold::test_the_locked_value_goes_out_once_and_nothing_else_that_means_it",
    ),
    "A request in which a locked field cannot be held is refused.": (
        "properties/test_locks_hold::test_what_cannot_be_held_is_refused_by_an_error_that_names_the_field",
    ),
    "PUT, PATCH and DELETE are refused unless `access.methods` lists them.": (
        "inference/test_access::test_other_methods_need_a_setting_and_the_tool_says_so",
    ),
    "A call is retried only if it provably reached no model, unless the model is marked `idempotent`.": (
        "inference/test_retry::test_only_what_nobody_worked_on_is_sent_again",
        "inference/test_retry::test_what_may_have_been_worked_on_is_sent_once",
        "inference/test_retry::test_a_model_called_idempotent_is_sent_again_after_an_ambiguous_failure",
    ),
    "A call is reserved in the budget before it is sent and settled after it.": (
        "inference/test_spending::test_calls_in_flight_together_do_not_pass_a_cap_that_has_room_for_one",
        "inference/test_spending::test_the_figures_of_answers_are_those_of_their_receipts_added_up",
    ),
    'One ledger counts the calls of all processes of a user, and `ledger = ":memory:"` those of all callers of '
    "one server; edits of the settings do not start either again.": (
        "e2e/test_spending::test_eight_processes_that_race_against_a_cap_make_as_many_calls_as_it_allows",
        "inference/test_one_ledger::test_five_callers_share_a_cap_of_one_call",
        "inference/test_one_ledger::test_edits_of_the_settings_do_not_begin_to_count_again",
    ),
    "Missing or implausible usage is replaced by an estimate, a broken stream counts at least what had arrived, "
    "and each attempt that may have been billed counts.": (
        "inference/test_counting::test_usage_that_is_missing_or_too_small_is_replaced_by_an_estimate_that_says_so",
        "inference/test_counting::test_a_stream_that_ends_early_or_is_cancelled_counts_as_much_as_had_come",
        "inference/test_counting::test_each_attempt_that_may_have_been_billed_counts",
    ),
    "A cancelled call, a client that disconnects, a signal and the end of the parent process abort the calls in "
    "flight.": (
        "server/test_cancellation::test_a_cancelled_call_aborts_its_request_and_delays_nothing_else",
        "server/http/test_server::test_a_client_that_goes_away_ends_its_call_upstream_and_no_other",
        "e2e/test_process::test_however_it_ends_it_aborts_the_call_in_flight_and_does_not_wait_for_it",
        "e2e/test_process::test_a_server_whose_parent_dies_ends_though_its_input_does_not",
    ),
    "Under `budget.usd_per_day`, a call counts at the `price` in the settings, otherwise at that of the price "
    "table; a call without either is refused unless `budget.unpriced` allows it.": (
        "inference/test_spending::test_a_model_without_a_price_costs_what_the_table_says",
        "inference/test_spending::test_a_model_without_a_price_is_refused_under_a_cap_of_money",
        "budget/test_prices::test_a_configured_price_counts_what_it_names",
    ),
    "A URL consists of a fixed base, an allowed model name and a checked path: dot segments, encoded slashes, "
    "absolute URLs and control characters are refused.": (
        "properties/test_url_rules::test_no_path_leaves_the_models_endpoint_however_often_it_is_decoded",
        "properties/test_url_rules::test_no_name_of_a_model_or_workspace_changes_the_shape_of_the_url",
        "tools/test_run_model::test_a_path_that_could_leave_the_model_is_refused_before_anything_is_sent",
    ),
    "Credentials go to no `http` URL beyond loopback.": (
        "settings/test_fail_closed::test_credentials_leave_this_machine_over_https_only",
        "client/auth/test_authenticator::test_model_url_is_trusted_over_tls_or_on_this_machine_only",
        "client/auth/test_authenticator::test_credentials_go_to_no_clear_text_token_endpoint",
    ),
    "A control plane that is not on loopback cannot send the key to loopback, link-local or private addresses, nor to "
    "a name that resolves to them.": (
        "client/test_endpoints::test_a_remote_control_plane_sends_the_key_to_no_internal_host",
        "client/auth/test_authenticator::test_a_name_that_a_remote_control_plane_gave_must_lead_to_a_public_address",
        "client/test_direct_transport::test_a_name_that_leads_to_this_machine_is_not_connected_to_if_it_has_to_be_public",
        "core/test_hosts::test_an_address_of_a_private_network_is_not_public",
    ),
    "Nothing that an answer names is fetched.": (
        "client/test_client::test_redirect_is_an_error_and_the_other_host_hears_nothing",
        "inference/test_files::test_data_and_https_urls_need_no_setting_and_nothing_is_fetched",
        "apis/test_media_apis::test_a_recording_elsewhere_is_not_fetched",
    ),
    "Files that an agent names are read only below `files.allowed_dirs`, after links are resolved, also if a "
    "folder is replaced by a link meanwhile.": (
        "inference/test_files::test_a_file_below_an_open_folder_is_read",
        "inference/test_files::test_a_file_outside_is_refused_in_the_same_words_as_one_that_is_missing",
        "inference/test_files::test_a_folder_that_is_swapped_for_a_link_when_its_file_is_opened_leads_nowhere",
        "inference/test_files::test_a_folder_that_is_swapped_before_it_is_opened_leads_nowhere",
    ),
    "Callers over HTTP with credentials of their own cannot read any.": (
        "server/test_tenants::test_a_caller_never_reads_the_users_files",
    ),
    "A message has at most 220,000 values, counted before it is parsed.": (
        "server/stdio/test_frames::test_a_frame_of_too_many_values_is_answered_with_its_id_and_is_not_parsed",
        "server/http/test_body_bounds::test_too_many_values_are_refused_and_the_next_request_is_answered",
        "contract/test_security_promises::test_the_figures_of_the_page_are_those_of_the_code",
    ),
    "Validation stops at five errors and after a limited number of steps, and patterns of an `input_schema` are "
    "matched in linear time.": (
        "e2e/test_argument_memory::test_arguments_that_do_not_fit_cost_memory_by_their_size_and_show_five_problems",
        "e2e/test_argument_memory::test_alternatives_that_double_with_each_level_end_in_an_error",
        "e2e/test_argument_memory::test_a_pattern_with_nested_repeats_is_matched_in_linear_time",
        "e2e/test_floods::test_a_pattern_of_the_owner_holds_up_nobody_and_sigterm_ends_the_server",
    ),
    "Large arguments are validated and encoded in a thread, and cost less than ten times their size in memory.": (
        "e2e/test_floods::test_large_arguments_cost_less_than_ten_times_their_size",
        "e2e/test_argument_memory::test_a_schema_with_alternatives_needs_a_thread",
        "e2e/test_argument_memory::test_a_large_body_is_written_in_memory_by_its_size",
    ),
    "Messages, bodies (after decompression), events, nesting, headers, results and queues are bounded while they "
    "are read.": (
        "e2e/test_floods::test_a_large_flood_is_an_error_within_its_memory_and_harms_no_later_call",
        "e2e/test_floods::test_invalid_http_is_an_error_within_its_memory_and_harms_no_later_call",
        "client/test_body_reader::test_compression_bomb_costs_no_more_memory_than_the_limit",
        "properties/test_streams_cut_anywhere::test_a_stream_with_too_many_values_is_response_too_large",
        "e2e/test_argument_memory::test_deep_nesting_is_refused",
        "inference/test_limits::test_one_call_more_than_the_queue_holds_is_refused_as_busy",
    ),
    "`blaxel-mcp` and every process that it starts import nothing from the folder in which they run.": (
        "e2e/test_hostile_folder::test_doctor_runs_nothing_of_the_working_directory",
        "e2e/test_hostile_folder::test_the_demo_runs_nothing_of_the_working_directory",
        "e2e/test_hostile_folder::test_the_script_runs_nothing_of_the_working_directory",
        "e2e/test_hostile_folder::test_workers_run_nothing_of_the_working_directory",
        "e2e/test_hostile_folder::test_what_install_writes_without_a_script_runs_nothing_of_the_working_directory",
    ),
    "`api_key_command` is looked up on `PATH` only, and runs in the home directory.": (
        "e2e/test_hostile_folder::test_a_key_command_is_looked_up_on_path_alone",
        "e2e/test_hostile_folder::test_a_key_command_with_a_relative_path_is_refused",
        "e2e/test_hostile_folder::test_a_key_command_does_not_run_in_the_working_directory",
    ),
    "This server's files have mode 0600 in folders of mode 0700.": (
        "core/test_private_files::test_all_that_a_server_writes_is_its_users_alone",
        "tools/store/test_store::test_what_is_on_disk_is_the_users_alone",
        "catalog/test_cache::test_the_file_and_its_folder_are_the_users_alone",
    ),
    "A folder for the list of models, long answers or the ledger is not used if it belongs to another user, is "
    "below such a folder, or can be changed by others.": (
        "core/test_foreign_folders::test_a_folder_of_another_user_is_refused_and_stays_as_it_is",
        "core/test_foreign_folders::test_answers_stay_in_memory_when_the_spool_is_another_users",
        "core/test_foreign_folders::test_the_list_of_models_is_not_saved_in_another_users_folder",
        "core/test_foreign_folders::test_a_named_ledger_where_others_can_write_is_refused",
    ),
    "Without its ledger, the server refuses calls under a cap.": (
        "inference/test_spending::test_with_a_budget_a_lost_ledger_refuses_the_calls_and_nothing_else",
        "core/test_foreign_folders::test_a_ledger_in_another_users_folder_refuses_calls_under_a_cap",
    ),
    "Without `http.auth`, the server listens on loopback only, and says at the start that every local user may "
    "call it.": (
        "e2e/test_http_process::test_beyond_loopback_it_does_not_start_without_authentication",
        "e2e/test_http_process::test_it_prints_its_url_and_who_may_call_and_answers_there",
        "server/http/test_address::test_beyond_this_machine_it_has_to_be_settled_who_may_call_and_under_which_name",
    ),
    "With it, every request is authenticated before its path is read, except probes, the OAuth metadata and "
    "preflight requests of `http.allowed_origins`.": (
        "properties/test_http_targets::test_without_a_token_no_target_leads_anywhere",
        "properties/test_http_targets::test_no_spelling_that_is_known_to_fool_a_reader_of_paths_gets_past",
        "properties/test_http_targets::test_the_probes_are_open",
        "replicas/test_workers::test_no_spelling_of_the_path_gets_past_the_token_of_several_workers",
    ),
    "A request over HTTP without a known caller is never the owner's.": (
        "properties/test_http_targets::test_a_request_over_http_without_a_caller_is_never_the_owners",
    ),
    "The headers Host and Origin are checked.": (
        "server/http/test_address::test_on_this_machine_its_own_names_are_answered_and_no_page_of_another",
        "server/http/test_address::test_names_and_pages_of_the_settings_are_answered_and_no_others",
    ),
    "The token of a caller is never sent to Blaxel.": (
        "server/http/auth/test_caller_auth::test_each_of_the_tokens_lets_in_and_none_of_them_is_sent_to_blaxel",
        "server/http/auth/test_oauth::test_a_token_of_the_issuer_lets_its_bearer_in_and_is_not_sent_to_blaxel",
    ),
    "A bearer token that could be guessed, that is a Blaxel key or that is a reference to a secret is an error.": (
        "settings/test_fail_closed::test_a_token_that_anybody_may_try_is_an_error_that_does_not_quote_it",
        "server/http/auth/test_caller_auth::test_tokens_that_can_be_guessed_or_are_blaxels_are_refused_at_the_start",
    ),
    "Only access tokens for this server are accepted from an OAuth issuer, not ID tokens.": (
        "server/http/auth/test_oauth::test_a_token_that_does_not_count_is_refused_with_the_reason_and_the_way_to_another",
        "server/http/auth/test_oauth::test_access_tokens_are_taken_under_every_type_that_issuers_give_them",
    ),
    "Callers with keys of their own share no models, answers, handles or budget.": (
        "server/http/test_tenants::test_what_two_callers_do_at_the_same_time_stays_apart",
        "server/http/test_tenants::test_a_model_of_one_caller_is_no_tool_of_the_other",
        "server/http/test_tenants::test_a_budget_is_each_callers_own",
        "server/test_tenants::test_a_callers_answers_and_handles_are_known_to_nobody_else",
    ),
    "A key that Blaxel has not accepted gets no place among the callers and causes no requests in the background.": (
        "server/test_tenants::test_made_up_keys_cost_one_request_each_and_leave_nothing_behind",
        "server/test_tenants::test_keys_that_somebody_makes_up_take_no_place_of_a_caller_with_a_good_one",
    ),
    "A caller over HTTP is shown no path, mistake or credential source of the owner, and not what other callers "
    "call.": (
        "server/http/test_visibility::test_no_caller_over_http_is_shown_a_place_of_the_owners",
        "server/http/test_visibility::test_a_failure_of_the_owners_settings_is_in_the_log_and_not_in_the_answer",
        "server/http/test_visibility::test_callers_who_share_a_key_do_not_learn_what_the_others_call",
        "server/http/test_visibility::test_a_budget_that_others_have_used_up_is_refused_without_their_figures",
    ),
    "With several tokens or OAuth, one caller gets at most half of the slots, the queue and the rate of model calls.": (
        "inference/test_limits::test_a_caller_with_many_calls_leaves_half_of_the_slots_and_of_the_queue_to_others",
        "inference/test_limits::test_a_caller_starts_at_most_half_of_the_minutes_calls",
        "server/test_tenants::test_one_token_that_calls_without_end_leaves_the_others_their_turns",
    ),
    "Each caller may make 600 tool calls per minute, or `limits.calls_per_minute` if that is more.": (
        "server/test_tenants::test_over_http_a_caller_makes_so_many_calls_of_any_tool_in_a_minute",
        "contract/test_security_promises::test_the_figures_of_the_page_are_those_of_the_code",
    ),
    "With several tokens, OAuth or keys of their own, one caller keeps at most half of the server's connections "
    "busy.": ("server/http/test_tenants::test_a_caller_who_keeps_many_requests_open_leaves_connections_to_the_others",),
    "Clients that show MCP Apps show answers in a page of ours, in their sandbox.": (
        "server/test_result_app::test_a_client_with_apps_finds_the_app_of_each_tool_that_answers_for_a_model",
        "server/test_result_app::test_a_client_without_apps_is_sent_the_same_bytes_as_if_there_were_none",
    ),
    "It loads nothing, connects to nothing, and its policy allows only its own script and style.": (
        "server/test_result_app::test_the_app_declares_that_it_connects_to_nothing_and_allows_only_its_own_code",
    ),
    "What a model says becomes text, pictures and sounds, never markup.": (
        "playground/test_result_app::test_a_long_text_is_read_page_by_page_and_runs_no_markup",
        "server/http/test_playground::test_no_module_takes_text_for_markup",
    ),
    "It reaches this server through the host alone, with the calls that the host passes on; a repeated call is made "
    "only when a person presses its button.": (
        "playground/test_result_app::test_a_picture_is_shown_at_full_size_with_its_receipt_and_asked_for_again_with_changes",
        "server/test_result_app::test_the_apps_own_tool_reads_resources_and_names_what_is_missing",
    ),
    "`blaxel-mcp playground` listens on 127.0.0.1 only, and its link works once.": (
        "e2e/test_playground::test_the_link_of_the_command_opens_the_page_and_a_signal_ends_it",
        "server/http/test_playground::test_a_token_gives_one_page_a_session",
        "server/http/test_playground::test_a_new_link_voids_the_one_before_and_keeps_the_sessions",
    ),
    "Only the page that opened the link can call a model, and a request with another Host or Origin is rejected.": (
        "server/http/test_playground::test_without_the_secret_of_a_page_nothing_is_called",
        "server/http/test_playground::test_only_its_own_address_and_origin_are_served",
    ),
    "The page loads and runs nothing but itself.": (
        "server/http/test_playground::test_the_page_can_load_and_run_nothing_but_itself",
    ),
    "What a model says is shown as text, and never runs.": (
        "playground/test_hostile_answers::test_what_a_model_says_is_shown_and_never_runs",
        "playground/test_hostile_answers::test_the_message_of_a_providers_error_never_runs",
        "playground/test_hostile_answers::test_a_tool_call_is_shown_and_never_runs",
        "server/http/test_playground::test_no_module_takes_text_for_markup",
    ),
    "Answers, partial texts and results in the Redis of `[shared]` are encrypted with AES-256-GCM, and can be read "
    "only as those of the caller that they were written for.": (
        "replicas/test_answers::test_nothing_that_a_caller_said_or_got_is_readable_in_redis",
        "replicas/test_answers::test_a_large_answer_is_kept_in_chunks_and_read_only_with_the_same_key_and_by_its_caller",
        "replicas/test_answers::test_callers_do_not_see_each_others_calls_and_answers",
    ),
    "Prompts and credentials are not stored there.": (
        "replicas/test_answers::test_nothing_that_a_caller_said_or_got_is_readable_in_redis",
    ),
    "A `shared.url` without a random `shared.key` is an error.": (
        "settings/test_shared_settings::test_what_would_not_share_or_not_encrypt_is_an_error",
    ),
    "No lower bound of a dependency allows a version with a vulnerability that is listed in `.ci/advisories.toml`.": (
        "e2e/test_packaging::test_no_lower_bound_allows_a_version_with_a_known_hole",
        "e2e/test_packaging::test_a_lower_bound_with_a_known_hole_is_found",
    ),
    "Property-based tests and a fuzz target cover the way from a message to an answer.": (
        "properties/test_frames_read::test_any_bytes_are_a_message_or_get_an_answer",
        "properties/test_streams_cut_anywhere::test_any_bytes_are_an_answer_or_a_blaxel_error",
        "e2e/test_fuzz_target::test_the_fuzz_target_finds_nothing_in_its_corpus",
    ),
}


def promises() -> list[str]:
    """Return the sentences and the rows of the sections that promise something."""
    sections = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", read(PAGE), re.MULTILINE | re.DOTALL))
    assert sorted(sections) == sorted((*PROMISING, *OTHERS)), "say whether the new section promises something"
    return [claim for name in PROMISING for claim in claims_in(sections[name])]


def test_every_promise_has_its_tests() -> None:
    assert promises() == list(PROMISES)
    assert all(PROMISES.values())


@pytest.mark.parametrize("test", sorted({test for tests in PROMISES.values() for test in tests}))
def test_the_tests_of_a_promise_exist(test: str) -> None:
    assert has_test(test)


def test_the_figures_of_the_page_are_those_of_the_code() -> None:
    assert f"at most {MAX_ARGUMENT_VALUES:,} values" in read(PAGE)
    assert f"{TOOL_CALLS_PER_MINUTE} tool calls" in read(PAGE)
