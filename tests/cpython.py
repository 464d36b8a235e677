"""The tests that need CPython, and why. All others run in Pyodide too: in Node, and in a browser.

A module, a folder, or a test, with any parameters; `*` stands for anything. In Pyodide the modules are not even imported, and the tests are deselected.
"""

from __future__ import annotations

SERVER, PROCESSES, THREADS = "a web server in the same process", "other processes", "threads"
PACKAGES = "packages that Pyodide does not have"
PIP, LONG = "pip, by which packages are installed here", "64 bits: an axis of more than 2**31 elements"
LOOP = "an event loop of its own, whose tasks it counts"
LAYERS = "what is of CPython alone: its HTTP client, its threads"
NEEDS: dict[str, str] = {
    "cli": PACKAGES,
    "stores/test_buckets.py::test_a_real_server_refuses_what_is_not_public": SERVER,
    "stores/test_buckets.py::test_a_tree_in_a_bucket_is_opened_listed_and_read": SERVER,
    "stores/test_buckets.py::test_it_is_what_http_is_otherwise": SERVER,
    "stores/test_buckets.py::test_more_keys_than_fit_on_a_page_are_listed_from_a_real_server": SERVER,
    "stores/test_contract.py::*bucket]": SERVER,
    "stores/test_contract.py::*http]": SERVER,
    "stores/test_http.py": SERVER,
    "test_at_once.py": "the page cache of Linux",
    "test_budget.py::test_429_and_503_halve_what_is_sent_at_once_and_other_statuses_do_not": SERVER,
    "test_budget.py::test_a_context_that_nobody_uses_any_more_is_freed_with_all_that_it_kept": SERVER,
    "test_budget.py::test_a_real_dead_server_with_1000_chunks_gets_no_more_than_that": SERVER,
    "test_budget.py::test_a_retry_after_that_is_too_long_fails_at_once": SERVER,
    "test_budget.py::test_a_server_that_is_overloaded_gets_fewer_requests_until_it_goes_well_again": SERVER,
    "test_budget.py::test_each_operation_has_repeats_of_its_own": SERVER,
    "test_budget.py::test_retry_after_is_read_as_seconds_or_a_date_or_not_at_all": SERVER,
    "test_cached.py::test_a_changed_object_is_seen_after_opening_and_after_the_seconds": SERVER,
    "test_cached.py::test_a_failure_is_not_kept_and_a_check_that_fails_is_an_error_not_the_old_answer": SERVER,
    "test_cached.py::test_checks_and_hits_are_counted_where_the_reading_is": SERVER,
    "test_cached.py::test_it_says_what_it_is_around": SERVER,
    "test_cached.py::test_parts_of_a_shard_that_is_replaced_are_all_old_or_all_new": SERVER,
    "test_cached.py::test_parts_that_are_checked_and_the_same_cost_one_round_of_requests_without_bodies": SERVER,
    "test_cached.py::test_readers_at_once_share_one_request_for_each_object": SERVER,
    "test_cached.py::test_stores_that_share_a_folder_do_not_meet": SERVER,
    "test_cached.py::test_what_is_on_disk_is_as_old_as_its_last_check": SERVER,
    "test_cached.py::test_what_is_on_disk_is_there_for_the_next_cache_which_checks_it_or_does_not": SERVER,
    "test_cached.py::test_what_was_read_is_not_asked_for_again": SERVER,
    "test_cached.py::test_whatever_a_server_tells_of_versions_a_changed_object_is_seen_at_the_next_check": SERVER,
    "test_cached.py::test_with_false_nothing_is_ever_checked": SERVER,
    "test_cached.py::test_with_open_each_object_is_checked_once_after_each_opening_and_does_not_come_again": SERVER,
    "test_cached.py::test_with_seconds_an_answer_is_checked_when_it_is_that_old": SERVER,
    "test_cached.py::test_with_true_each_read_checks_and_nothing_comes_again": SERVER,
    "test_cancelled_requests.py": SERVER,
    "test_chunk_cache.py::test_an_old_chunk_that_a_thread_read_before_a_write_is_not_kept": THREADS,
    "test_copy.py::test_a_copy_of_2_gib_with_new_chunks_takes_less_than_300_mib": PROCESSES,
    "test_copy.py::test_a_killed_copy_run_again_finishes_and_verifies": PROCESSES,
    "test_disagreements.py::test_rectilinear_run_of_2_to_the_40_is_refused_where_memory_is_not_enough": "a limit of the system",
    "test_docs.py": SERVER,
    "test_engine.py::test_100_000_chunks_of_a_blocking_store_make_no_task_each": LOOP,
    "test_engine.py::test_100_000_chunks_of_a_waiting_store_make_no_task_each": LOOP,
    "test_engine.py::test_cancelled_read_ends_all_its_workers": THREADS,
    "test_engine.py::test_cancelled_read_of_a_blocking_store_returns_when_no_worker_is_reading": THREADS,
    "test_engine.py::test_error_of_one_worker_is_raised_when_the_others_have_ended": THREADS,
    "test_engine.py::test_first_error_of_a_blocking_store_stops_the_other_workers_and_comes_bare": THREADS,
    "test_engine.py::test_handle_with_a_cached_index_reads_a_replaced_shard": SERVER,
    "test_engine.py::test_large_chunks_of_a_waiting_store_are_decoded_off_the_loop": THREADS,
    "test_engine.py::test_no_chunk_of_a_blocking_store_is_decoded_on_the_loop": THREADS,
    "test_engine.py::test_nothing_blocks_the_loop_on_a_local_disk": PROCESSES,
    "test_engine.py::test_nothing_blocks_the_loop_over_http": PROCESSES,
    "test_engine.py::test_read_cancelled_while_it_decodes_returns_when_nothing_is_decoded_any_more": THREADS,
    "test_engine.py::test_the_detector_hears_a_blocking_call": PROCESSES,
    "test_faults.py": SERVER,
    "test_house.py::test_codecs_are_imported_at_first_use": PROCESSES,
    "test_house.py::test_import_loads_nothing_beyond_numpy_and_the_standard_library": PROCESSES,
    "test_http_client.py": LAYERS,
    "test_lifecycle.py": THREADS,
    "test_network_memory.py": PROCESSES,
    "test_network_replaced.py": SERVER,
    "test_north_star.py::test_the_two_lines_run_as_written": SERVER,
    "test_processes.py": PROCESSES,
    "test_progress.py::test_ipython_itself_shows_one_bar_and_updates_it": PROCESSES,
    "test_redirects.py::test_a_loop_ends": SERVER,
    "test_redirects.py::test_a_password_that_a_redirect_names_is_not_sent": SERVER,
    "test_redirects.py::test_a_redirect_is_followed_to_the_object": SERVER,
    "test_redirects.py::test_a_redirect_to_nowhere_is_an_error_of_that_status": SERVER,
    "test_redirects.py::test_a_store_that_was_pickled_reads": SERVER,
    "test_redirects.py::test_an_array_behind_redirects_is_read_with_its_shards_and_versions": SERVER,
    "test_redirects.py::test_another_host_at_the_same_port_is_another_origin": SERVER,
    "test_redirects.py::test_basic_auth_is_that_of_the_argument": SERVER,
    "test_redirects.py::test_basic_auth_is_that_of_the_url": SERVER,
    "test_redirects.py::test_errors_of_redirects_tell_no_secret": SERVER,
    "test_redirects.py::test_headers_and_auth_do_not_go_to_another_origin_and_do_not_come_back": SERVER,
    "test_redirects.py::test_headers_and_auth_stay_at_the_same_origin": SERVER,
    "test_redirects.py::test_other_statuses_are_no_redirects": SERVER,
    "test_redirects.py::test_ten_redirects_are_followed_and_eleven_are_not": SERVER,
    "test_redirects.py::test_the_argument_goes_before_the_url": SERVER,
    "test_redirects.py::test_the_query_of_a_url_does_not_go_where_a_redirect_leads": SERVER,
    "test_redirects.py::test_what_is_missing_behind_a_redirect_is_missing": SERVER,
    "test_redirects.py::test_what_is_no_place_of_http_is_not_followed": SERVER,
    "test_requests.py::test_a_server_that_cannot_count_from_the_end_is_asked_for_the_size_once_more_for_each_shard": SERVER,
    "test_requests.py::test_a_server_without_ranges_is_asked_for_whole_shards": SERVER,
    "test_secrets.py": SERVER,
    "test_seeing.py": SERVER,
    "unit/codecs/test_blosc.py::*[no libblosc2*": PACKAGES,
    "unit/codecs/test_blosc.py::*snappy*": PACKAGES,
    "unit/codecs/test_blosc.py::test_bitshuffled_chunks_whose_last_bytes_are_no_whole_element_are_read_right": PACKAGES,
    "unit/codecs/test_blosc.py::test_libblosc2_is_not_asked_for_such_chunks": PACKAGES,
    "unit/codecs/test_blosc.py::test_what_is_not_installed_is_named_with_the_line_that_installs_it": PIP,
    "unit/codecs/test_crc32c.py::test_what_is_not_installed_is_named_with_the_line_that_installs_it": PIP,
    "unit/codecs/test_foreign.py": PACKAGES,
    "unit/codecs/test_pipeline.py::test_filters_of_v2_may_make_a_chunk_longer_before_it_is_compressed": PACKAGES,
    "unit/codecs/test_pipeline.py::test_what_any_chain_encodes_it_decodes": PACKAGES,
    "unit/codecs/test_registry.py::test_a_package_that_is_not_installed_is_named_with_the_line_that_installs_it": PIP,
    "unit/codecs/test_streams.py::test_a_python_that_lacks_a_module_is_named": PIP,
    "unit/codecs/test_streams_zstd.py::test_what_is_not_installed_is_named_with_the_line_that_installs_it": PIP,
    "unit/test_plan.py::test_blocks_are_counted_before_they_are_kept": LONG,
    "unit/test_plan.py::test_rows_of_a_long_axis_are_made_while_they_are_consumed": LONG,
    "unit/test_plan.py::test_work_is_made_while_it_is_consumed": LONG,
    "unit/codecs/test_native.py::test_the_python_code_of_blosc2_is_never_loaded": PROCESSES,
    "unit/codecs/test_registry.py::test_codecs_and_their_packages_are_imported_at_first_use": PROCESSES,
    "viewer/test_folders.py::test_a_hierarchy_is_walked_over_a_plain_server": SERVER,
    "viewer/test_folders.py::test_a_server_that_shows_no_folders_is_an_error_that_says_so": SERVER,
    "viewer/test_worker.py": PACKAGES,
}


def reason(name: str) -> str | None:
    """Why `name`, the id of a test or the path of a module, needs CPython; None if it does not."""
    return next((why for entry, why in NEEDS.items() if _meant(entry, name.removeprefix("tests/"))), None)


def _meant(entry: str, name: str) -> bool:
    start, *others = entry.split("*")
    if others:
        return name.startswith(start) and all(part in name for part in others) and name.endswith(others[-1])
    return name == start or name.startswith((f"{start}::", f"{start}[", f"{start}/"))
