"""Conan 2 recipe: conan create examples/packages/conan --build=missing

It builds the tree that it is in.
"""
import os

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import copy


class Rae(ConanFile):
    name = "rae"
    version = "0.1.0"
    license = "MIT"
    description = "Latent diffusion on representation autoencoders"
    topics = ("diffusion", "autoencoder", "vision-transformer")
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False], "fPIC": [True, False], "with_tool": [True, False]}
    default_options = {"shared": False, "fPIC": True, "with_tool": False}
    implements = ["auto_shared_fpic"]

    def export_sources(self):
        tree = os.path.join(self.recipe_folder, "..", "..", "..")
        for pattern in ("CMakeLists.txt", "LICENSE", "README.md", "include/*", "src/*", "docs/*",
                        "examples/*"):
            copy(self, pattern, tree, self.export_sources_folder)

    def requirements(self):
        self.requires("eigen/3.4.0", transitive_headers=True)
        self.requires("nlohmann_json/3.11.3")
        self.requires("stb/cci.20230920")
        self.requires("yaml-cpp/0.8.0")
        self.requires("zlib/[>=1.2.11 <2]")
        self.requires("libjpeg-turbo/3.0.2")
        self.requires("libwebp/1.3.2")
        if self.options.with_tool:
            self.requires("cli11/2.4.2")

    def validate(self):
        check_min_cppstd(self, 20)

    def layout(self):
        cmake_layout(self)

    def generate(self):
        CMakeDeps(self).generate()
        toolchain = CMakeToolchain(self)
        for name in ("TESTS", "EXAMPLES", "C"):
            toolchain.cache_variables["RAE_BUILD_" + name] = False
        toolchain.cache_variables["RAE_BUILD_TOOL"] = bool(self.options.with_tool)
        toolchain.cache_variables["RAE_MPI"] = "OFF"
        toolchain.cache_variables["RAE_SERVE"] = "OFF"
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))
        CMake(self).install()

    def package_info(self):
        # The project's own files for CMake and pkg-config are used as they are.
        self.cpp_info.set_property("cmake_find_mode", "none")
        self.cpp_info.builddirs.append(os.path.join("lib", "cmake", "rae"))
        self.cpp_info.libs = ["rae", "rae_kernels"]
