# Makes the build tree a CMake package, build/lib/cmake/Attn, with the libraries
# that a compiler on top of this one links.

# Appends to the list `out` our own libraries that `target` needs, itself first.
function(attn_collect_libraries target out)
  if(target IN_LIST ${out})
    return()
  endif()
  list(APPEND ${out} ${target})
  get_target_property(needed ${target} INTERFACE_LINK_LIBRARIES)
  foreach(library IN LISTS needed)
    string(REGEX REPLACE "^\\$<LINK_ONLY:(.*)>$" "\\1" library "${library}")
    if(TARGET ${library})
      get_target_property(imported ${library} IMPORTED)
      if(NOT imported)
        attn_collect_libraries(${library} ${out})
      endif()
    endif()
  endforeach()
  set(${out} ${${out}} PARENT_SCOPE)
endfunction()

set(exported)
attn_collect_libraries(AttnInitAll exported)
export(TARGETS ${exported} NAMESPACE Attn::
  FILE ${CMAKE_BINARY_DIR}/lib/cmake/Attn/AttnTargets.cmake)
configure_file(cmake/AttnConfig.cmake.in
  ${CMAKE_BINARY_DIR}/lib/cmake/Attn/AttnConfig.cmake @ONLY)
